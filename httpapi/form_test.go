package httpapi

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/valyala/fasthttp"
)

// TestPlainFormsAreReadAlike: a form without escapes is read here, and every other by the library. Two
// readers that find different things in one form would be a way around one of them.
func TestPlainFormsAreReadAlike(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		body := make([]byte, random.IntN(24))
		for i := range body {
			body[i] = "ab=&; \x00\xff"[random.IntN(8)]
		}
		var f form
		f.split(body)
		args := fasthttp.AcquireArgs()
		args.ParseBytes(body)
		n := 0
		for key, value := range args.All() {
			if n >= len(f.parameters) || !bytes.Equal(f.parameters[n].key, key) || !bytes.Equal(f.parameters[n].value, value) {
				t.Fatalf("%q is read as %q, and by the library as %v", body, f.parameters, args)
			}
			n++
		}
		if n != len(f.parameters) {
			t.Fatalf("%q has %d parameters, and by the library %d", body, len(f.parameters), n)
		}
		fasthttp.ReleaseArgs(args)
	}
}

func TestRepeatedParameters(t *testing.T) {
	for body, refused := range map[string]bool{
		"token=a&client_id=b": false, "token=a&token=b": true, "x=1&y=2&x=3": true, "token=a&tok%65n=b": true,
		"a=&b=&c=&d=&e=&f=&g=&h=&i=": false, "a=&b=&c=&d=&e=&f=&g=&h=&i=&b=": true, "=a&=b": true, "&&&": false,
	} {
		if err := new(form).read([]byte(body)); (err != nil) != refused {
			t.Errorf("%s: %v", body, err)
		}
	}
}
