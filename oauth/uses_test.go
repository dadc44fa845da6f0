package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/oauth"
	"github.com/keystone-auth/keystone/store"
)

// flaky is a proposer whose answers can be lost, after the command was applied or before.
type flaky struct {
	fsm.Proposer
	before, after error
	proposals     int
}

func (f *flaky) Propose(ctx context.Context, o fsm.Origin, cmd fsm.Command) (fsm.Result, error) {
	f.proposals++
	if f.before != nil {
		return fsm.Result{}, f.before
	}
	res, err := f.Proposer.Propose(ctx, o, cmd)
	return res, errors.Join(err, f.after)
}

func (h *house) total(t *testing.T) (c iam.Client) {
	t.Helper()
	if err := h.Store.View(func(r *store.Reader) error {
		c, _ = r.ClientByClientID("shop")
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestUsesAreCountedOnce: whatever is lost on the way, each request counts once.
func TestUsesAreCountedOnce(t *testing.T) {
	h := build(t)
	log := &flaky{Proposer: h}
	h.oauth.Proposer = log
	own := oauth.ClientAuth{ID: "shop", Secret: h.secret}
	use := func(n int) {
		for range n {
			if _, err := h.oauth.AuthenticateClient(t.Context(), own); err != nil {
				t.Fatal(err)
			}
		}
	}
	record := func(want int64, fails bool) {
		t.Helper()
		if err := h.oauth.RecordUses(t.Context()); (err != nil) != fails {
			t.Errorf("recording: %v", err)
		}
		if got := h.total(t); got.TotalRequests != want {
			t.Errorf("%d requests are counted, want %d", got.TotalRequests, want)
		}
	}
	before := h.total(t)
	use(3)
	if _, err := h.oauth.AuthenticateClient(t.Context(), oauth.ClientAuth{ID: "shop", Secret: "wrong"}); err == nil {
		t.Fatal("a wrong secret is good")
	}
	record(3, false)
	if after := h.total(t); after.Changed != before.Changed || after.UpdatedAt != before.UpdatedAt || after.LastUsed != h.Now() {
		t.Errorf("recording changed %+v into %+v", before, after)
	}
	was := log.proposals
	record(3, false)
	if log.proposals != was {
		t.Error("without a request there is nothing to record")
	}
	use(1) // after the counter was given up
	log.before = errors.New("no leader")
	record(3, true)
	use(1)
	log.before, log.after = nil, errors.New("the answer was lost")
	record(4, true)
	log.after = nil
	record(5, false)
	a, err := h.oauth.Token(t.Context(), oauth.Request{Grant: oauth.GrantClientCredentials, Client: own})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := h.view.Verify([]byte(a.AccessToken), h.Now())
	if err != nil {
		t.Fatal(err)
	}
	h.oauth.Used(claims, h.Now())
	record(7, false) // the token request, and that with the token
	if h.view.Stats().Remembered == 0 {
		t.Error("recording made the node forget which tokens it has verified")
	}
}

func TestUsesOfManyAtOnce(t *testing.T) {
	h := build(t)
	const clients, each = 700, 20 // more than fit into one command
	auth := make([]oauth.ClientAuth, clients)
	for i := range auth {
		c := iam.Client{ID: iam.NewID(), ClientID: fmt.Sprint("c", i), Name: "c", Type: iam.Public, Active: true}
		h.Must(t, &fsm.CreateClient{Client: c})
		auth[i].ID = c.ClientID
	}
	stop := make(chan struct{})
	var recording, using sync.WaitGroup
	recording.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := h.oauth.RecordUses(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 4 {
		using.Go(func() {
			for range each / 4 {
				for _, a := range auth {
					if _, err := h.oauth.AuthenticateClient(t.Context(), a); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	using.Wait()
	close(stop)
	recording.Wait()
	if err := h.oauth.RecordUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	if err := h.Store.View(func(r *store.Reader) error {
		for _, c := range r.Clients(iam.ID{}, 10_000) {
			total += c.TotalRequests
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if total != clients*each {
		t.Errorf("%d requests are counted, want %d", total, clients*each)
	}
}

// TestGraceOfAnImportedSecret: the old secret is good until then and dead after, where only a password
// hash of it is known, too.
func TestGraceOfAnImportedSecret(t *testing.T) {
	h := build(t)
	hash, err := h.oauth.Login.Hasher.Hash(t.Context(), "imported")
	if err != nil {
		t.Fatal(err)
	}
	h.Must(t, &fsm.CreateClient{Client: iam.Client{ID: iam.NewID(), ClientID: "old", Name: "old", Type: iam.Confidential, Active: true, SecretHash: hash}})
	any := oauth.Edit{By: iam.Permissions{All: true}, Match: func(iam.ID) (uint64, error) { return 0, nil }}
	made, err := h.oauth.RotateSecret(t.Context(), any, "old", 60)
	if err != nil {
		t.Fatal(err)
	}
	works := func(secret string) bool {
		_, err := h.oauth.AuthenticateClient(t.Context(), oauth.ClientAuth{ID: "old", Secret: secret})
		return err == nil
	}
	h.Advance(60*1_000_000 - 1)
	if !works("imported") || !works(made.Secret) || works("wrong") {
		t.Error("within the grace both secrets are good, and no other")
	}
	h.Advance(1)
	if works("imported") || !works(made.Secret) {
		t.Error("after the grace the old secret is good still")
	}
}

// TestEditCatchesUp: a version that was seen on another node is no reason to refuse, and a node that is
// behind does not write over what it has not seen.
func TestEditCatchesUp(t *testing.T) {
	h := build(t)
	caughtUp := 0
	h.oauth.Login.CatchUp = func(context.Context) error { caughtUp++; return nil }
	seen := h.total(t).Changed
	edit := oauth.Edit{By: iam.Permissions{All: true}, Match: func(iam.ID) (uint64, error) { return seen + 1000, nil }}
	_, _, err := h.oauth.UpdateClient(t.Context(), edit, "shop", func(d *oauth.Draft) { d.Name = "x" })
	wantCode(t, err, iam.PreconditionFailed)
	_, _, err = h.oauth.UpdateClient(t.Context(), edit, "elsewhere", func(*oauth.Draft) {})
	wantCode(t, err, iam.NotFound)
	if caughtUp != 2 {
		t.Errorf("the node caught up %d times before it refused twice", caughtUp)
	}
	edit.Match = func(iam.ID) (uint64, error) { return 0, nil }
	raced := false
	c, _, err := h.oauth.UpdateClient(t.Context(), edit, "shop", func(d *oauth.Draft) {
		if !raced {
			raced = true
			other := d.Client
			other.Description = "by another"
			h.Must(t, &fsm.UpdateClient{Client: other})
		}
		d.Name = "mine"
	})
	if err != nil || c.Name != "mine" || c.Description != "by another" {
		t.Errorf("%+v, %v", c, err)
	}
}
