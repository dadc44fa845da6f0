package main

import "testing"

func TestRest(t *testing.T) {
	var r rest
	asked := uint64(0)
	f := func(what string, more, live uint64, want bool) {
		t.Helper()
		asked += more
		if got := r.due(asked, live); got != want {
			t.Errorf("%s: due is %t", what, got)
		}
	}
	const mib = 1 << 20
	f("a start", 30*mib, 8*mib, false)
	f("rest after it", mib, 8*mib, true)
	f("nothing since", 0, 8*mib, false)
	f("a little since", 3*mib, 8*mib, false)
	f("a little more", 3*mib, 8*mib, true)
	f("a login", 64*mib, 8*mib, false)
	f("another one", 64*mib, 8*mib, false)
	f("rest after both", 0, 8*mib, true)
	f("some, of a large heap", 6*mib, 200*mib, false)
	f("logins, of a large heap", 128*mib, 200*mib, false)
	f("rest of a large heap", 0, 200*mib, true)
}

func TestPace(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		live uint64
		busy bool
		want int
	}{
		{0, true, 400},
		{5 * mib, true, 400},
		{16 * mib, true, 300},
		{32 * mib, true, 150},
		{48 * mib, true, 100},
		{96 * mib, true, 50},
		{2000 * mib, true, 50},
		{5 * mib, false, 100},
		{32 * mib, false, 100},
		{96 * mib, false, 50},
	} {
		if got := pace(c.live, c.busy); got != c.want {
			t.Errorf("with %d MiB in use, busy %t, there may be %d %% of it in garbage, and not %d %%", c.live/mib, c.busy, got, c.want)
		}
	}
}
