package limits

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// Paths of the bare server. The size of an answer, in bytes with its headers, is a parameter of the query.
const (
	bareIntrospect = "/introspect"
	bareToken      = "/token"
	bareSign       = "/sign"
)

// headBytes is what fasthttp writes before the body of an answer of three digits.
const headBytes = len("HTTP/1.1 200 OK\r\nDate: Thu, 26 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n")

// ServeBare answers with what is there already: the least that an answer over HTTP costs with the library
// that Keystone uses. One path signs something first, the least that a new token costs.
func ServeBare(l net.Listener) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	answers := map[string][]byte{}
	s := &fasthttp.Server{
		NoDefaultServerHeader: true, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		Handler: func(ctx *fasthttp.RequestCtx) {
			_ = ctx.PostBody()
			if bytes.HasPrefix(ctx.Path(), []byte(bareSign)) {
				digest := sha256.Sum256(ctx.PostBody())
				if _, err := ecdsa.SignASN1(rand.Reader, key, digest[:]); err != nil {
					ctx.SetStatusCode(fasthttp.StatusInternalServerError)
					return
				}
			}
			ctx.SetContentType("application/json")
			ctx.SetBody(answers[string(ctx.Path())])
		},
	}
	for size := range mostBytes {
		n := "/" + strconv.Itoa(size)
		answers[bareIntrospect+n] = padded(`{"active":true,"pad":"`, size)
		answers[bareToken+n] = padded(`{"token_type":"Bearer","access_token":"`, size)
		answers[bareSign+n] = answers[bareToken+n]
	}
	return s.Serve(l)
}

// mostBytes bounds the answers of the bare server.
const mostBytes = 4096

// padded makes a JSON object that, with its headers, has so many bytes.
func padded(begin string, size int) []byte {
	return []byte(begin + strings.Repeat("x", max(1, size-headBytes-len(begin)-2)) + `"}`)
}

// bareURL is the address of a bare answer of a size.
func (l *lab) bareURL(path string, size int) string {
	return fmt.Sprintf("%s%s/%d", l.bare, path, min(size, mostBytes-1))
}
