package fsm

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// envelopeFormat is the first member of every log entry.
const envelopeFormat = 1

// MaxCommand bounds an encoded log entry in bytes, so that none delays the heartbeats of raft.
const MaxCommand = 256 << 10

// Kind numbers the commands in the log. The list is append-only: a number is never used again.
type Kind uint64

// The kinds.
const (
	kindInitialize    Kind = 1
	kindSetSettings   Kind = 2
	kindCreateUser    Kind = 3
	kindUpdateUser    Kind = 4
	kindDeleteUser    Kind = 5
	kindLockUser      Kind = 6
	kindPutRole       Kind = 7
	kindDeleteRole    Kind = 8
	kindPutScope      Kind = 9
	kindDeleteScope   Kind = 10
	kindCreateClient  Kind = 11
	kindUpdateClient  Kind = 12
	kindDeleteClient  Kind = 13
	kindStartSession  Kind = 14
	kindRotateSession Kind = 15
	kindEndSessions   Kind = 16
	kindRevokeToken   Kind = 17
	kindRevokeIssued  Kind = 18
	kindAddKey        Kind = 19
	kindExpire        Kind = 20
	kindRecordAudit   Kind = 21
	kindResealKeys    Kind = 22

	kindTrimAudit      Kind = 50
	kindSignAudit      Kind = 51
	kindChangePassword Kind = 30
	kindSetPassword    Kind = 31
	kindIssueTicket    Kind = 32
	kindResetPassword  Kind = 33
	kindConfirmEmail   Kind = 34
	kindRotateSecret   Kind = 40
	kindRecordUse      Kind = 41

	kindLockDownUser   Kind = 60
	kindLockDownClient Kind = 61
	kindRaiseEpoch     Kind = 62

	kindImportBatch  Kind = 70
	kindForgetImport Kind = 73
	kindRedeemLegacy Kind = 71
	kindEndLegacy    Kind = 72

	kindPutACME     Kind = 80
	kindDeleteACME  Kind = 81
	kindTakeLock    Kind = 82
	kindReleaseLock Kind = 83
)

// registry makes an empty command of each kind, for the decoder to fill.
var registry = map[Kind]func() Command{
	kindInitialize:    func() Command { return new(Initialize) },
	kindSetSettings:   func() Command { return new(SetSettings) },
	kindCreateUser:    func() Command { return new(CreateUser) },
	kindUpdateUser:    func() Command { return new(UpdateUser) },
	kindDeleteUser:    func() Command { return new(DeleteUser) },
	kindLockUser:      func() Command { return new(LockUser) },
	kindPutRole:       func() Command { return new(PutRole) },
	kindDeleteRole:    func() Command { return new(DeleteRole) },
	kindPutScope:      func() Command { return new(PutScope) },
	kindDeleteScope:   func() Command { return new(DeleteScope) },
	kindCreateClient:  func() Command { return new(CreateClient) },
	kindUpdateClient:  func() Command { return new(UpdateClient) },
	kindDeleteClient:  func() Command { return new(DeleteClient) },
	kindStartSession:  func() Command { return new(StartSession) },
	kindRotateSession: func() Command { return new(RotateSession) },
	kindEndSessions:   func() Command { return new(EndSessions) },
	kindRevokeToken:   func() Command { return new(RevokeToken) },
	kindRevokeIssued:  func() Command { return new(RevokeIssued) },
	kindAddKey:        func() Command { return new(AddKey) },
	kindExpire:        func() Command { return new(Expire) },
	kindRecordAudit:   func() Command { return new(RecordAudit) },
	kindResealKeys:    func() Command { return new(ResealKeys) },
	kindTrimAudit:     func() Command { return new(TrimAudit) },
	kindSignAudit:     func() Command { return new(SignAudit) },

	kindChangePassword: func() Command { return new(ChangePassword) },
	kindSetPassword:    func() Command { return new(SetPassword) },
	kindIssueTicket:    func() Command { return new(IssueTicket) },
	kindResetPassword:  func() Command { return new(ResetPassword) },
	kindConfirmEmail:   func() Command { return new(ConfirmEmail) },
	kindRotateSecret:   func() Command { return new(RotateSecret) },
	kindRecordUse:      func() Command { return new(RecordUse) },

	kindLockDownUser:   func() Command { return new(LockDownUser) },
	kindLockDownClient: func() Command { return new(LockDownClient) },
	kindRaiseEpoch:     func() Command { return new(RaiseEpoch) },

	kindImportBatch:  func() Command { return new(ImportBatch) },
	kindForgetImport: func() Command { return new(ForgetImport) },
	kindRedeemLegacy: func() Command { return new(RedeemLegacy) },
	kindEndLegacy:    func() Command { return new(EndLegacy) },

	kindPutACME:     func() Command { return new(PutACME) },
	kindDeleteACME:  func() Command { return new(DeleteACME) },
	kindTakeLock:    func() Command { return new(TakeLock) },
	kindReleaseLock: func() Command { return new(ReleaseLock) },
}

// Command is one change of the state.
type Command interface {
	// Kind is the command's number in the log.
	Kind() Kind
	// Validate refuses what could never be applied. It is stateless and runs before the log.
	Validate() error
	// Denies tells whether the command takes away what somebody may hold a token for, so that its
	// success must not be told before the other nodes know.
	Denies() bool

	// event names the change in the audit log; the zero Event keeps it out.
	event() Event
	// apply makes the change, or refuses with an *iam.Error before its first write.
	apply(tx *store.Tx, m Meta) (any, error)
}

// Event is what the audit log says of a command: its type, such as user.created, and whom it is
// about.
type Event struct {
	Type   string
	Target string
}

// Origin says who asked for a command, and by which request.
type Origin struct {
	// RequestID makes a retry recognisable: a second command under the same id is answered with the
	// first one's outcome for OutcomeLifetime. The zero id asks the proposer for a fresh one.
	RequestID iam.ID `cbor:"1,keyasint"`
	Actor     string `cbor:"2,keyasint,omitempty"` // user id, client_id, "operator" or "system"
	IP        string `cbor:"3,keyasint,omitempty"`
	UserAgent string `cbor:"4,keyasint,omitempty"`
	Trace     string `cbor:"5,keyasint,omitempty"` // the HTTP request's id, as in X-Request-ID

	Receipts *Receipts `cbor:"-"` // collects the receipts of the request, if anybody wants them
}

// Meta is what a command may know besides the state and itself.
type Meta struct {
	Origin
	Index uint64   // of the log entry
	At    iam.Time // the state's time: the proposer's clock, but never earlier than that of any command before
}

// Result is what became of a command that was applied.
type Result struct {
	Index uint64 `cbor:"1,keyasint"`           // the log index at which it holds
	Value []byte `cbor:"2,keyasint,omitempty"` // what apply returned, encoded

	// Receipt is there when the command took something away, see Receipt.
	Receipt *Receipt `cbor:"3,keyasint,omitempty"`
}

// Decode reads the value into v, which has the type that the command documents.
func (r Result) Decode(v any) error {
	if err := store.Decode(r.Value, v); err != nil {
		return fmt.Errorf("the result of a command cannot be read: %w", err)
	}
	return nil
}

// unchanged refuses a write that was made for another version of a row than there is: the writer has
// seen what somebody else has changed meanwhile. 0 wants no particular version.
func unchanged(want, is uint64) error {
	if want != 0 && want != is {
		return iam.Errorf(iam.PreconditionFailed, "It was changed by somebody else meanwhile: read it again.")
	}
	return nil
}

// Proposer carries a command through the log. The node of a cluster is one, and so is a state
// machine without a log in tests. An expected refusal comes back as an *iam.Error.
type Proposer interface {
	Propose(ctx context.Context, origin Origin, cmd Command) (Result, error)
}

// envelope is a log entry.
type envelope struct {
	Format     uint64   `cbor:"1,keyasint"`
	Kind       Kind     `cbor:"2,keyasint"`
	MinVersion uint64   `cbor:"3,keyasint"`
	At         iam.Time `cbor:"4,keyasint"`
	Origin     Origin   `cbor:"5,keyasint"`
	Payload    []byte   `cbor:"6,keyasint"`
}

// Encode validates the command and makes a log entry of it. The error is an *iam.Error.
func Encode(origin Origin, at iam.Time, cmd Command) ([]byte, error) {
	if err := cmd.Validate(); err != nil {
		return nil, err
	}
	entry := store.Encode(envelope{
		Format: envelopeFormat, Kind: cmd.Kind(), MinVersion: Needs(cmd), At: at,
		Origin: bounded(origin), Payload: store.Encode(tidy(cmd)),
	})
	if len(entry) > MaxCommand {
		return nil, iam.Errorf(iam.PayloadTooLarge, "The request is too large to be one change: split it.")
	}
	// An entry that cannot be read back would stop every node of the cluster, for ever. Text that is
	// not UTF-8 is enough, and whoever sends a request chooses its bytes.
	if _, _, err := decode(entry, Version()); err != nil {
		return nil, iam.Errorf(iam.InvalidRequest, "The request holds text that is not valid UTF-8, or too many values.")
	}
	return entry, nil
}

// tidy cuts what a caller chose the length and the bytes of, where refusing would harm others: one
// odd header must not keep the audit entries of a whole batch out of the log.
func tidy(cmd Command) Command {
	switch c := cmd.(type) {
	case *StartSession:
		started := *c
		started.Session.UserAgent = cut(c.Session.UserAgent, 256)
		return &started
	case *RedeemLegacy:
		redeemed := *c
		redeemed.Session.UserAgent = cut(c.Session.UserAgent, 256)
		return &redeemed
	case *RecordAudit:
		entries := slices.Clone(c.Entries)
		for i := range entries {
			e := &entries[i]
			e.Type, e.Result, e.Reason = cut(e.Type, 64), cut(e.Result, 64), cut(e.Reason, 64)
			e.Actor, e.Target, e.IP = cut(e.Actor, 255), cut(e.Target, 255), cut(e.IP, 64)
			e.UserAgent, e.RequestID = cut(e.UserAgent, 256), cut(e.RequestID, 64)
		}
		return &RecordAudit{Entries: entries}
	}
	return cmd
}

// bounded cuts what a caller chose the length of.
func bounded(o Origin) Origin {
	o.UserAgent = cut(o.UserAgent, 256)
	o.Actor = cut(o.Actor, 255)
	o.IP = cut(o.IP, 64)
	o.Trace = cut(o.Trace, 64)
	return o
}

func cut(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	// What is left may end inside a character, or never have been text: the log takes UTF-8 alone.
	return strings.ToValidUTF8(s, "?")
}

// Check refuses an entry that another node made and that this one could not apply: once in the log
// it would stop this node, and every other one of its version. It returns the time that the entry
// carries, and the version that it needs. The error is an *iam.Error.
func (f *FSM) Check(entry []byte) (at iam.Time, needs uint64, err error) {
	if len(entry) > MaxCommand {
		return 0, 0, iam.Errorf(iam.InternalError, "A log entry of that size cannot be made.")
	}
	e, cmd, err := decode(entry, f.Version)
	if err == nil {
		err = cmd.Validate()
	}
	switch {
	case e.MinVersion > f.Version:
		return 0, 0, iam.Errorf(iam.Conflict, "This is not possible before all nodes run the newer Keystone: it needs version %d of the commands, and the node that leads knows version %d. Upgrade the others.", e.MinVersion, f.Version)
	case err != nil:
		return 0, 0, iam.Errorf(iam.InternalError, "The node that leads cannot make this change: it runs another version of Keystone than the node that was asked.")
	}
	return e.At, e.MinVersion, nil
}

// decode reads a log entry for a state machine of the known version. An error means that it must not go on.
func decode(entry []byte, known uint64) (envelope, Command, error) {
	var e envelope
	if err := store.DecodeStrict(entry, &e); err != nil {
		return e, nil, fmt.Errorf("a log entry cannot be read: %w", err)
	}
	if e.Format != envelopeFormat || e.MinVersion > known {
		return e, nil, fmt.Errorf("a log entry of format %d needs command version %d, and this Keystone knows format %d and version %d: start the newer version on this node too",
			e.Format, e.MinVersion, envelopeFormat, known)
	}
	build, exists := registry[e.Kind]
	if !exists {
		return e, nil, fmt.Errorf("a log entry holds a command of kind %d, which this Keystone does not know: start the newer version on this node too", e.Kind)
	}
	cmd := build()
	if err := store.DecodeStrict(e.Payload, cmd); err != nil {
		return e, nil, fmt.Errorf("a command of kind %d cannot be read: %w", e.Kind, err)
	}
	return e, cmd, nil
}
