package httpapi_test

import (
	"encoding/base64"
	"log/slog"
	"net"
	"net/url"
	"testing"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"github.com/keystone-auth/keystone/httpapi"
)

// BenchmarkIntrospect is the hot path as clients use it, their side included.
func BenchmarkIntrospect(b *testing.B) {
	s := newStack(b, func(c *httpapi.Config) { c.Logger = slog.New(slog.DiscardHandler) })
	l := fasthttputil.NewInmemoryListener()
	go s.server.Serve(l) // ends with the stack's Shutdown
	client := &fasthttp.HostClient{Addr: "keystone.test", Dial: func(string) (net.Conn, error) { return l.Dial() }}
	b.Cleanup(client.CloseIdleConnections)
	run := func(name, contentType, body, authorization string) {
		b.Run(name, func(b *testing.B) {
			req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			req.Header.SetMethod("POST")
			req.SetRequestURI("http://keystone.test" + v1 + "/auth/introspect")
			req.Header.SetContentType(contentType)
			req.Header.Set("Authorization", authorization)
			req.SetBodyString(body)
			b.ReportAllocs()
			for b.Loop() {
				if err := client.Do(req, resp); err != nil || resp.StatusCode() != 200 {
					b.Fatal(err, resp.StatusCode())
				}
			}
		})
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("demo:"+s.client.ClientSecret))
	run("JSON, bearer", "application/json", `{"token":"`+s.user.AccessToken+`"}`, "Bearer "+s.service.AccessToken)
	run("form, Basic", "application/x-www-form-urlencoded", "token="+url.QueryEscape(s.user.AccessToken), basic)
}
