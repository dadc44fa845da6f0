package house_test

import "strings"

const module = "github.com/keystone-auth/keystone/"

// room is a row of the dependency table. A room is a folder of the module with all below it.
type room struct {
	name  string
	rooms []string // the rooms that it may import
	libs  []string // the libraries that it may import beside the standard one, with all below them
	why   string
}

// anything in place of a list allows every room or library.
const anything = "*"

// What is common to several rows.
var (
	domain   = []string{"iam"}
	useCases = []string{"iam", "secret", "token", "limit", "tally", "events", "store", "fsm", "view"}
)

// table is who may know whom, from the bottom of the house to its top. Test code may import more.
var table = []room{
	{
		name: "iam",
		why:  "every room speaks its words, so what it imports everybody imports",
	},
	{
		name: "api",
		why:  "the wire shapes stand alone, so that the wire and the disk can change apart",
	},

	{
		name: "secret", rooms: domain,
		libs: []string{"golang.org/x/crypto", "github.com/go-crypt/x", "github.com/go-json-experiment/json"},
		why:  "passwords, digests and sealing need crypto libraries and no idea of who asks; Keycloak's hashes are JSON",
	},
	{
		name: "token", rooms: domain,
		libs: []string{"github.com/golang-jwt/jwt/v5", "github.com/go-json-experiment/json"},
		why:  "the only room that sees golang-jwt; claims are read with the strict JSON decoder first",
	},
	{
		name: "limit", rooms: domain,
		libs: []string{"github.com/maypok86/otter/v2"},
		why:  "counting requests needs a bounded memory and nothing else",
	},
	{
		name: "lease",
		why:  "the rules of leases know no network, no log and no clock, so that a simulation can run them as they are",
	},
	{
		name: "tally", rooms: []string{"iam", "limit"},
		why: "how nodes count together is decided without a network, so that its tests can tear one apart",
	},

	{
		name: "store", rooms: domain,
		libs: []string{"go.etcd.io/bbolt", "github.com/tidwall/btree", "github.com/fxamacker/cbor/v2"},
		why:  "rows on disk, whoever writes them, and an ordered map with cheap copies for those that are on their way there",
	},
	{
		name: "events", rooms: []string{"iam", "store"},
		why: "it hands out committed changes as the store describes them",
	},
	{
		name: "fsm", rooms: []string{"iam", "store"},
		libs: []string{"github.com/hashicorp/raft", "github.com/fxamacker/cbor/v2"},
		why:  "every node must come to the same state, so whatever could differ between nodes stays out",
	},
	{
		name: "view", rooms: []string{"iam", "store", "token"},
		libs: []string{
			"github.com/puzpuzpuz/xsync/v4", "github.com/go-json-experiment/json",
		},
		why: "the hot path reads what was committed and does not know how that came about",
	},

	{
		name: "cluster", rooms: []string{"iam", "secret", "store", "fsm", "lease"},
		libs: []string{
			"github.com/hashicorp/raft", "github.com/hashicorp/raft-boltdb/v2", "github.com/hashicorp/memberlist",
			"github.com/hashicorp/raft-autopilot", "github.com/hashicorp/go-hclog", "github.com/hashicorp/go-metrics",
			"github.com/valyala/fasthttp", "github.com/fxamacker/cbor/v2", "go.etcd.io/bbolt",
			"golang.org/x/sync", "golang.org/x/sys",
		},
		why: "replication carries commands and does not know what they are for; identities come from the cluster secret",
	},
	{
		name: "steward", rooms: []string{"iam", "secret", "token", "store", "fsm", "events"},
		libs: []string{"golang.org/x/sync"},
		why:  "the leader's own duties are proposals like anybody else's, made through an fsm.Proposer",
	},

	{
		name: "certs", rooms: []string{"iam", "secret", "store", "fsm"},
		libs: []string{"github.com/caddyserver/certmagic", "go.uber.org/zap"},
		why:  "the certificate of the API lies in files, or in the state, where it is sealed and proposed like a signing key; it speaks TLS below HTTP",
	},

	{
		name: "login", rooms: useCases,
		libs: []string{"github.com/ccojocar/zxcvbn-go", "github.com/FastFilter/xorfilter", "golang.org/x/sync", "github.com/wneessen/go-mail"},
		why:  "proving who somebody is needs a proposer and readers, but neither HTTP nor the cluster",
	},
	{
		name: "oauth", rooms: append(useCases, "login"),
		libs: []string{"golang.org/x/sync"},
		why:  "the grants run without HTTP and without a cluster; a password grant is a login",
	},
	{
		name: "audit", rooms: useCases,
		why: "it writes through a proposer and reads the store",
	},

	{
		name: "httpapi", rooms: append(useCases, "api", "lease", "login", "oauth", "audit", "web"),
		libs: []string{
			"github.com/valyala/fasthttp", "github.com/fasthttp/router", "github.com/danielgtaylor/huma/v2",
			"github.com/go-json-experiment/json", "github.com/prometheus", "golang.org/x/sync",
		},
		why: "HTTP in, HTTP out: the rest is asked of the rooms above",
	},
	{
		name: "web",
		why:  "files that are embedded",
	},

	{
		name: "backup", rooms: []string{"iam", "secret", "token", "store", "fsm", "cluster"},
		libs: []string{"filippo.io/age", "github.com/klauspost/compress", "github.com/hashicorp/raft"},
		why:  "it copies the state, encrypts copies, and begins a cluster from one, for which it must know what a node keeps on disk",
	},
	{
		name: "client", rooms: []string{"api"},
		libs: []string{"github.com/valyala/fasthttp", "github.com/go-json-experiment/json"},
		why:  "what speaks to the API from outside sees no more than the API",
	},
	{
		name: "bench/fill", rooms: []string{"iam", "secret", "store"},
		why: "it writes rows into the file of a node that stands still, past the log and its rules",
	},
	{
		name: "bench/limits", rooms: []string{anything}, libs: []string{anything},
		why: "it measures the parts against what they are made of, so it knows all of them",
	},
	{
		name: "bench", rooms: []string{"api", "client"},
		libs: []string{"github.com/HdrHistogram/hdrhistogram-go", "golang.org/x/sync", "github.com/valyala/fasthttp"},
		why:  "a load generator that measures the API from outside; fasthttp reads answers with the least work",
	},
	{
		name: "importer", rooms: []string{"api", "client", "iam", "store"},
		libs: []string{"github.com/jackc/pgx/v5", "github.com/jackc/pglogrepl", "github.com/pressly/goose/v3", "golang.org/x/sync", "go.yaml.in/yaml/v3"},
		why:  "rows go in through the API, from tables or from the log of a database; the store is only read, for the export, whose tables goose makes; a mapping is YAML, as the settings are",
	},
	{
		name: "importer/fill", libs: []string{"github.com/jackc/pgx/v5"},
		why: "it makes a database for tests and measurements, and knows no more of Keystone than people do who have one",
	},

	{
		name: "cmd", rooms: []string{anything}, libs: []string{anything},
		why: "it puts the parts together",
	},
	{
		name: "deploy", rooms: []string{},
		why: "it holds files for other programs, and tests that compare them with the documents",
	},
	{
		name: "internal/teststate", rooms: []string{"iam", "secret", "token", "store", "fsm", "view"},
		libs: []string{"github.com/hashicorp/raft"},
		why:  "it makes a state without a log for the tests of the rooms above it",
	},
	{
		name: "internal/testca",
		why:  "it is a certificate authority for tests, whatever they secure",
	},
	{
		name: "internal/testacme", rooms: []string{"internal/testca"}, libs: []string{"github.com/letsencrypt/pebble/v2"},
		why: "it runs a real authority for tests",
	},
	{
		name: "internal/testdisk",
		why:  "it mounts a small disk for tests, whatever they keep there",
	},
	{
		name: "internal/testpostgres", libs: []string{"github.com/jackc/pgx/v5"},
		why: "it runs a real database for tests, whatever they keep there",
	},
	{
		name: "internal/history", rooms: []string{anything}, libs: []string{anything},
		why: "it records what clients of real nodes saw, and checks it",
	},
	{
		name: "internal/hosts", libs: []string{"golang.org/x/sys"},
		why: "it makes machines for tests, whatever they run; its own tests run the program on them",
	},
	{
		name: "internal/crash", rooms: []string{"api", "client", "secret", "store", "cmd", "internal/history", "internal/hosts", "importer", "internal/testpostgres"}, libs: []string{},
		why: "it kills real processes and looks at what they left behind",
	},
	{
		name: "internal/testcluster", rooms: []string{anything}, libs: []string{anything},
		why: "it puts the parts together for tests",
	},
	{
		name: "internal/house",
		why:  "it looks at the source from outside",
	},
}

// ban is an import whose absence is worth more words than that no row allows it. It holds before
// what a row allows.
type ban struct {
	rooms []string // those that it binds; anything = all but the excepted
	but   []string
	paths []string
	why   string
}

var bans = []ban{
	{
		rooms: []string{"httpapi"},
		paths: []string{
			module + "cluster", "go.etcd.io/bbolt", "github.com/hashicorp/raft", "github.com/hashicorp/memberlist",
			"golang.org/x/crypto/argon2", "github.com/golang-jwt/jwt/v5", "github.com/jackc/pgx/v5",
		},
		why: "a handler that reaches past the use cases carries rules that the other ways in do not know",
	},
	{
		rooms: []string{"login", "oauth", "audit", "steward"},
		paths: []string{module + "cluster"},
		why:   "use cases are handed an fsm.Proposer, a store and a view, so that their tests need no network",
	},
	{
		rooms: []string{"view"},
		paths: []string{module + "fsm"},
		why:   "the hot path must stay readable without knowing how a change is made",
	},
	{
		rooms: []string{anything}, but: []string{"httpapi", "client", "cluster", "bench", "bench/limits", "cmd", "internal/testcluster"},
		paths: []string{"github.com/valyala/fasthttp"},
		why:   "the bytes of a fasthttp request die with its handler, so they must not travel",
	},
	{
		rooms: []string{anything}, but: []string{"token", "internal/testcluster"},
		paths: []string{"github.com/golang-jwt/jwt"},
		why:   "how a token is checked is decided in one place",
	},
	{
		rooms: []string{anything}, but: []string{"internal"},
		paths: []string{"testing", module + "internal"},
		why:   "test code stays in tests",
	},
	{
		rooms: []string{"secret", "token", "login", "oauth", "iam"},
		paths: []string{"math/rand"},
		why:   "what can be guessed must not come near a secret, an id or a salt: use crypto/rand",
	},
	{
		rooms: []string{"httpapi", "oauth", "token"},
		paths: []string{"encoding/json"},
		why:   "it takes duplicate members, any letter case and bad UTF-8: use github.com/go-json-experiment/json",
	},
}

// within tells whether an import path is one of those, or below one of them.
func within(path string, tops []string) bool {
	for _, top := range tops {
		if top == anything || path == top || strings.HasPrefix(path, top+"/") {
			return true
		}
	}
	return false
}
