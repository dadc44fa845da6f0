package httpapi

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"path"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/web"
)

// file is something of a fixed content that browsers load, kept as it travels.
type file struct {
	mediaType string
	packed    []byte
	plain     func() []byte // unpacked at the first request of a client that does not take gzip
	hash      string
}

func newFile(mediaType string, packed []byte) *file {
	sum := sha256.Sum256(packed)
	return &file{
		mediaType: mediaType, packed: packed, hash: hex.EncodeToString(sum[:8]),
		plain: sync.OnceValue(func() []byte { return unpack(packed) }),
	}
}

// pack compresses what is made here. Neither writing to memory nor reading what we packed ourselves
// can fail.
func pack(plain []byte) []byte {
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	_, _ = w.Write(plain)
	_ = w.Close()
	return packed.Bytes()
}

func unpack(packed []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic("BUG: an embedded file is not compressed: " + err.Error())
	}
	plain, err := io.ReadAll(io.LimitReader(r, 16<<20))
	if err != nil {
		panic("BUG: an embedded file is broken: " + err.Error())
	}
	return plain
}

// pageFiles are the embedded files by name.
var pageFiles = sync.OnceValue(func() map[string]*file {
	types := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".txt": "text/plain; charset=utf-8"}
	files := map[string]*file{}
	entries, err := web.Docs.ReadDir("docs")
	for _, entry := range entries {
		packed, readErr := web.Docs.ReadFile("docs/" + entry.Name())
		if readErr != nil {
			err = readErr
		}
		name := strings.TrimSuffix(entry.Name(), ".gz")
		files[name] = newFile(types[path.Ext(name)], packed)
	}
	if err != nil {
		panic("BUG: the embedded files cannot be read: " + err.Error())
	}
	return files
})

// give answers with a file, or with nothing where the browser has it already.
func (x *exchange) give(f *file) {
	h := &x.http.Response.Header
	tag, body := `"`+f.hash+`"`, f.plain
	if x.http.Request.Header.HasAcceptEncoding("gzip") {
		tag, body = `"`+f.hash+`-gzip"`, func() []byte { return f.packed }
		h.Set(fasthttp.HeaderContentEncoding, "gzip")
	}
	h.Set(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
	h.Set(fasthttp.HeaderETag, tag)
	h.Set(fasthttp.HeaderCacheControl, "no-cache") // kept, but asked about
	if x.query("v") == f.hash {
		h.Set(fasthttp.HeaderCacheControl, "public, max-age=31536000, immutable") // another content has another address
	}
	x.http.SetContentType(f.mediaType)
	if known := x.http.Request.Header.Peek(fasthttp.HeaderIfNoneMatch); len(known) > 0 && bytes.Contains(known, []byte(tag)) {
		h.Del(fasthttp.HeaderContentEncoding)
		x.http.SetStatusCode(fasthttp.StatusNotModified)
		return
	}
	x.http.Response.SetBodyRaw(body())
}

// openapi gives the document that describes this API.
func (s *Server) openapi(x *exchange) error {
	if err := s.enter(x); err != nil {
		return err
	}
	x.give(s.document())
	return nil
}

// asset gives what the two pages load.
func (s *Server) asset(x *exchange) error {
	if err := s.enter(x); err != nil {
		return err
	}
	f, known := pageFiles()[x.param("file")]
	if !known {
		return iam.Errorf(iam.NotFound, "There is nothing at this path.")
	}
	x.give(f)
	return nil
}

// page is an HTML page with a policy of its own. The nonce in it, which no other answer has, allows the
// one script and the styles that we wrote: what somebody managed to put into the document would not run.
//
// The words in capitals stand for what changes, which is letters and digits in each case. html/template
// would do as well, but its calls of methods by name keep 7 MB of unused code in the program.
type page struct {
	html, policy string
}

const onlyOurs = "default-src 'none'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "

var (
	swaggerPage = page{
		policy: onlyOurs + "script-src 'self' 'nonce-NONCE'; style-src 'self'",
		html: `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Keystone API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css?v=STYLE">
<div id="page"></div>
<script src="/docs/swagger-ui-bundle.js?v=SWAGGER"></script>
<script nonce="NONCE">
SwaggerUIBundle({url: "/openapi.json?v=DOCUMENT", dom_id: "#page", deepLinking: true, validatorUrl: null, docExpansion: "list"});
</script>
`,
	}
	redocPage = page{
		// The search runs in a worker that ReDoc makes of a text.
		policy: onlyOurs + "script-src 'self' 'nonce-NONCE'; style-src 'nonce-NONCE'; worker-src blob:",
		html: `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Keystone API</title>
<link rel="icon" href="data:,">
<style nonce="NONCE">body { margin: 0 }</style>
<div id="page"></div>
<script nonce="NONCE" src="/docs/redoc.standalone.js?v=REDOC"></script>
<script nonce="NONCE">
Redoc.init("/openapi.json?v=DOCUMENT", {nonce: "NONCE", sanitize: true}, document.getElementById("page"));
</script>
`,
	}
)

// swagger shows the document with Swagger UI, where calls can be tried.
func (s *Server) swagger(x *exchange) error { return s.show(x, &swaggerPage) }

// redoc shows the document with ReDoc, for reading.
func (s *Server) redoc(x *exchange) error { return s.show(x, &redocPage) }

func (s *Server) show(x *exchange, p *page) error {
	if err := s.enter(x); err != nil {
		return err
	}
	nonce, files := rand.Text(), pageFiles()
	filled := strings.NewReplacer("NONCE", nonce, "DOCUMENT", s.document().hash, "STYLE", files["swagger-ui.css"].hash,
		"SWAGGER", files["swagger-ui-bundle.js"].hash, "REDOC", files["redoc.standalone.js"].hash)
	x.http.Response.Header.Set(fasthttp.HeaderContentSecurityPolicy, filled.Replace(p.policy))
	x.http.SetContentType("text/html; charset=utf-8")
	x.http.SetBodyString(filled.Replace(p.html))
	return nil
}
