package hosts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Watch sees every packet that leaves a host on a network.
type Watch struct {
	mu      sync.Mutex
	packets map[Packet]int
}

// Packet is what is told of one: who sent it, and where to.
type Packet struct {
	Host     int
	Protocol string // tcp, udp, icmp, arp or what it is
	From, To netip.AddrPort
}

// String is for messages of tests.
func (p Packet) String() string {
	return fmt.Sprintf("host %d: %s from %s to %s", p.Host, p.Protocol, p.From, p.To)
}

// Watch begins to watch a network, until the test ends.
func (s *Set) Watch(network string) *Watch {
	s.t.Helper()
	w := &Watch{packets: map[Packet]int{}}
	cables := map[int]int{}
	for i := 1; i <= s.count; i++ {
		link, err := net.InterfaceByName(s.Cable(network, i))
		if err != nil {
			s.t.Fatal(err)
		}
		cables[link.Index] = i
	}
	all := int(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL)))
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, all)
	if err != nil {
		s.t.Fatalf("packets cannot be watched: %v", err)
	}
	if err := errors.Join(unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}),
		unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)); err != nil {
		s.t.Fatal(err)
	}
	w.run(s.t, socket, cables)
	return w
}

func (w *Watch) run(t *testing.T, socket int, cables map[int]int) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		buffer := make([]byte, 1<<16)
		for {
			n, from, err := unix.Recvfrom(socket, buffer, 0)
			select {
			case <-stop:
				return
			default:
			}
			link, ok := from.(*unix.SockaddrLinklayer)
			// What comes out of a host comes in here; the rest is on its way to one.
			if err != nil || !ok || link.Pkttype == unix.PACKET_OUTGOING || cables[link.Ifindex] == 0 {
				continue
			}
			p := parse(link.Protocol, buffer[:n])
			p.Host = cables[link.Ifindex]
			w.mu.Lock()
			w.packets[p]++
			w.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
		_ = unix.Close(socket)
	})
}

// parse reads as much of a packet as is told of it.
func parse(protocol uint16, b []byte) Packet {
	kind := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, protocol))
	switch {
	case kind == unix.ETH_P_ARP && len(b) >= 28:
		return Packet{
			Protocol: "arp",
			From:     netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[14:18])), 0), To: netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[24:28])), 0),
		}
	case kind != unix.ETH_P_IP || len(b) < 20:
		return Packet{Protocol: fmt.Sprintf("ethernet type %04x", kind)}
	}
	p := Packet{Protocol: map[byte]string{unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp", unix.IPPROTO_ICMP: "icmp"}[b[9]]}
	var from, to uint16
	if body := b[int(b[0]&15)*4:]; p.Protocol != "icmp" && len(body) >= 4 {
		from, to = binary.BigEndian.Uint16(body), binary.BigEndian.Uint16(body[2:])
	}
	p.From = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:16])), from)
	p.To = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), to)
	return p
}

// Except returns what was seen and is not expected, and how many packets were.
func (w *Watch) Except(expected func(Packet) bool) (others []Packet, counted int) {
	time.Sleep(200 * time.Millisecond) // what was sent before this call is read by then
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, n := range w.packets {
		if expected(p) {
			counted += n
		} else {
			others = append(others, p)
		}
	}
	return others, counted
}
