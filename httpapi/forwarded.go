package httpapi

import (
	"bytes"
	"net"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"
)

// Who asks. Limits, allow-lists of clients and the audit log go by the address, so a header that anybody
// may send must not decide it: only what a proxy that the operator trusts has added counts.

// address is the other end of the connection, or whom a trusted proxy there asks for. It is not valid for
// the operator's socket.
func (s *Server) address(ctx *fasthttp.RequestCtx) netip.Addr {
	tcp, ok := ctx.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	peer := tcp.AddrPort().Addr().Unmap()
	if !s.trusts(peer) {
		return peer
	}
	return s.forwardedFor(&ctx.Request.Header, peer)
}

func (s *Server) trusts(addr netip.Addr) bool {
	for _, p := range s.TrustedProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// forwardedFor is the address that X-Forwarded-For or Forwarded (RFC 7239) names, or that of the proxy if
// it names none. A proxy writes one of the two and may hand on what a client wrote into the other, so if
// both are there they must agree. If they do not, the request comes from nowhere, and not from the proxy:
// a client could else get onto an allow-list that names the proxy's network.
func (s *Server) forwardedFor(h *fasthttp.RequestHeader, proxy netip.Addr) netip.Addr {
	// Joined at once: the next PeekAll takes the place of what this one found.
	list := bytes.Join(h.PeekAll("X-Forwarded-For"), []byte(","))
	standard := bytes.Join(h.PeekAll("Forwarded"), []byte(","))
	a, named := s.rightmost(string(list), parseNode)
	b, namedToo := s.rightmost(string(standard), parseForwarded)
	switch {
	case len(list) > 0 && len(standard) > 0 && a != b:
		return netip.Addr{}
	case named:
		return a
	case namedToo:
		return b
	}
	return proxy
}

// rightmost is the last address of a list that is not a trusted proxy's. Each proxy adds the address
// that it was asked from at the end, so everything to the left of that is hearsay: it is not looked at,
// and a chain that cannot be read up to there, or has nothing but proxies, names nobody. Commas are
// looked for from the end, whatever quotation marks say: one that a client left open must not swallow
// what the proxy added.
func (s *Server) rightmost(rest string, parse func(string) (netip.Addr, bool)) (netip.Addr, bool) {
	for more := true; more; {
		var last string
		i := strings.LastIndexByte(rest, ',')
		if more = i >= 0; more {
			rest, last = rest[:i], rest[i+1:]
		} else {
			last = rest
		}
		addr, ok := parse(strings.Trim(last, " \t"))
		if !ok {
			return netip.Addr{}, false
		}
		if !s.trusts(addr) {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

// parseForwarded reads the for parameter of one element, which must name one address.
func parseForwarded(element string) (addr netip.Addr, ok bool) {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !strings.EqualFold(name, "for") {
			continue
		}
		if ok {
			return netip.Addr{}, false // twice
		}
		if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		if addr, ok = parseNode(value); !ok {
			return netip.Addr{}, false
		}
	}
	return addr, ok
}

// parseNode reads an address with or without a port; IPv6 with or without brackets.
func parseNode(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil && strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		addr, err = netip.ParseAddr(text[1 : len(text)-1])
		if err == nil && addr.Is4() {
			return netip.Addr{}, false
		}
	}
	if err != nil {
		var with netip.AddrPort
		with, err = netip.ParseAddrPort(text)
		addr = with.Addr()
	}
	// A zone means something on one machine only, and one address would have many names.
	return addr.Unmap(), err == nil && addr.Zone() == ""
}
