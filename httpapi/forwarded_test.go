package httpapi_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/httpapi"
)

// proxies are those whose word counts in these tests.
var proxies = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8:aaaa::/48"),
}

// TestForwardedAddresses: the address that a trusted proxy was asked from counts, and nothing that whoever
// asked it could write.
func TestForwardedAddresses(t *testing.T) {
	f := func(name, peer, want string, headers ...string) {
		t.Helper()
		var h fasthttp.RequestHeader
		for _, line := range headers {
			key, value, _ := strings.Cut(line, ": ")
			h.Add(key, value)
		}
		if got := httpapi.AddressOf(proxies, peer, &h); got != want {
			t.Errorf("%s: %q from %s is taken for %s, want %s", name, headers, peer, got, want)
		}
	}
	const proxy, other, nowhere = "10.1.1.1", "198.51.100.9", "invalid IP"
	f("nothing said", proxy, proxy)
	f("one proxy", proxy, other, "X-Forwarded-For: 198.51.100.9")
	f("a proxy by its only address", "192.0.2.1", other, "X-Forwarded-For: 198.51.100.9")
	f("a proxy over IPv6", "2001:db8:aaaa::7", other, "X-Forwarded-For: 198.51.100.9")
	f("a proxy over IPv4 in IPv6", "::ffff:10.1.1.1", other, "X-Forwarded-For: 198.51.100.9")
	f("two proxies", proxy, other, "X-Forwarded-For: 198.51.100.9, 10.2.2.2")
	f("three, in two lines", proxy, other, "X-Forwarded-For: 198.51.100.9, 10.2.2.2", "X-Forwarded-For: 192.0.2.1")
	f("IPv6", proxy, "2001:db8::5", "X-Forwarded-For: 2001:db8::5")
	f("IPv6 in brackets", proxy, "2001:db8::5", "X-Forwarded-For: [2001:db8::5]")
	f("a port", proxy, other, "X-Forwarded-For: 198.51.100.9:50000")
	f("IPv6 and a port", proxy, "2001:db8::5", "X-Forwarded-For: [2001:db8::5]:443")
	f("IPv4 in IPv6", proxy, other, "X-Forwarded-For: ::ffff:198.51.100.9")
	f("blanks", proxy, other, "X-Forwarded-For:  198.51.100.9\t")
	f("the standard header", proxy, other, "Forwarded: for=198.51.100.9;proto=https;by=10.1.1.1")
	f("its letter case", proxy, other, "Forwarded: Proto=https; For=198.51.100.9")
	f("its quotes", proxy, "2001:db8::5", `Forwarded: for="[2001:db8::5]:4711"`)
	f("its chain", proxy, other, `Forwarded: for=203.0.113.1, for=198.51.100.9, for="10.2.2.2:80"`)
	f("both headers", proxy, other, "Forwarded: for=198.51.100.9", "X-Forwarded-For: 198.51.100.9")

	f("not from a proxy", "198.51.100.7", "198.51.100.7", "X-Forwarded-For: 198.51.100.9")
	f("not from a proxy, the standard header", "192.0.2.2", "192.0.2.2", "Forwarded: for=198.51.100.9")
	f("the client made up a chain", proxy, other, "X-Forwarded-For: 203.0.113.1, 203.0.113.2, 198.51.100.9")
	f("the client claims to be a proxy", proxy, other, "X-Forwarded-For: 203.0.113.1, 10.9.9.9, 198.51.100.9")
	f("the client wrote a line of its own", proxy, other, "X-Forwarded-For: 203.0.113.1", "X-Forwarded-For: 198.51.100.9")
	f("the client left a quote open", proxy, other, `Forwarded: for="203.0.113.1`, "Forwarded: for=198.51.100.9")
	f("the client left a quote open in one line", proxy, other, `Forwarded: for="203.0.113.1, for=198.51.100.9`)
	f("the client wrote rubbish before", proxy, other, "X-Forwarded-For: ,,;'--, 198.51.100.9")
	f("the client wrote the other header", proxy, nowhere, "X-Forwarded-For: 198.51.100.9", "Forwarded: for=203.0.113.1")
	f("the client wrote the other header, other way round", proxy, nowhere, "Forwarded: for=198.51.100.9", "X-Forwarded-For: 203.0.113.1")
	f("the client wrote rubbish into the other header", proxy, nowhere, "X-Forwarded-For: 198.51.100.9", "Forwarded: rubbish")

	f("nothing but proxies", proxy, proxy, "X-Forwarded-For: 10.3.3.3, 10.2.2.2")
	f("empty", proxy, proxy, "X-Forwarded-For: ")
	f("an empty element", proxy, proxy, "X-Forwarded-For: 198.51.100.9,")
	f("an unreadable element", proxy, proxy, "X-Forwarded-For: 198.51.100.9, unknown")
	f("an unreadable one behind a proxy", proxy, proxy, "X-Forwarded-For: 198.51.100.9, localhost, 10.2.2.2")
	f("a zone", proxy, proxy, "X-Forwarded-For: fe80::1%eth0")
	f("a network", proxy, proxy, "X-Forwarded-For: 198.51.100.0/24")
	f("leading zeros", proxy, proxy, "X-Forwarded-For: 198.051.100.009")
	f("IPv4 in brackets", proxy, proxy, "X-Forwarded-For: [198.51.100.9]")
	f("a port that is none", proxy, proxy, "X-Forwarded-For: 198.51.100.9:http")
	f("a name that is hidden", proxy, proxy, "Forwarded: for=_hidden")
	f("no for", proxy, proxy, "Forwarded: proto=https;host=example.org")
	f("for twice", proxy, proxy, "Forwarded: for=198.51.100.9;for=203.0.113.1")
	f("half a quote", proxy, proxy, `Forwarded: for="198.51.100.9`)
}

func FuzzForwarded(f *testing.F) {
	f.Add("198.51.100.9, 10.2.2.2", `for="[2001:db8::5]:4711"`)
	f.Add(`"`, "for=,")
	f.Fuzz(func(t *testing.T, list, standard string) {
		for _, key := range []string{"X-Forwarded-For", "Forwarded"} {
			var h fasthttp.RequestHeader
			h.Set(key, list+standard)
			if got := httpapi.AddressOf(proxies, "198.51.100.7", &h); got != "198.51.100.7" {
				t.Fatalf("a stranger is taken for %s", got)
			}
			got, err := netip.ParseAddr(httpapi.AddressOf(proxies, "10.1.1.1", &h))
			if err != nil || got.Is4In6() || got.Zone() != "" {
				t.Fatalf("taken for %v: %v", got, err)
			}
		}
	})
}
