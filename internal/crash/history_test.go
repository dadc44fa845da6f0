package crash_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/internal/history"
)

// TestHistoriesOfProcesses stops processes for longer than a lease lasts, lets them go on, and kills them:
// what clients see of each token can be explained all the same. A process that was stopped goes on where
// it was, between any two instructions, and believes for a moment that no time has passed.
func TestHistoriesOfProcesses(t *testing.T) {
	duration, seed := 12*time.Second, uint64(1)
	if torture {
		duration, seed = 10*time.Minute, uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	f := startFleet(t, watched)
	r := history.NewRecorder()
	traffic := &history.Traffic{Recorder: r, Password: password, ClientID: f.Client.ID, Secret: f.Client.Secret}
	for i := range f.Nodes {
		traffic.Targets = append(traffic.Targets, history.Target{Name: f.Nodes[i].Name, Client: f.client(i)})
	}
	people(t, f.operator(0), traffic)
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	var nemesis sync.WaitGroup
	nemesis.Go(func() { f.disturb(ctx, r, rand.New(rand.NewPCG(seed, 0))) })
	traffic.Run(ctx, seed, 8)
	nemesis.Wait()
	f.agree()
	explained(t, r)
}

// people makes the users of the traffic.
func people(t *testing.T, operator *client.Client, traffic *history.Traffic) {
	t.Helper()
	for i := range 4 {
		name := fmt.Sprint("person-", i)
		if _, err := operator.CreateUser(t.Context(), api.CreateUserRequest{Username: name, Email: name + "@example.org", Password: password}); err != nil {
			t.Fatal(err)
		}
		traffic.Users = append(traffic.Users, name)
	}
}

// explained checks what was recorded, and that it is enough to mean anything.
func explained(t *testing.T, r *history.Recorder) {
	t.Helper()
	answers, kills := r.Count()
	t.Logf("%d answers, %d taken away", answers, kills)
	if err := r.Check(); err != nil {
		t.Error(err)
	}
	if answers < 100 || kills < 5 {
		t.Error("too little happened to show anything")
	}
}

// disturb stops and kills nodes until ctx ends, the leader as often as all others, and leaves all running.
func (f *fleet) disturb(ctx context.Context, r *history.Recorder, random *rand.Rand) {
	for ctx.Err() == nil {
		victim := random.IntN(len(f.Nodes))
		if random.IntN(2) == 0 {
			victim = f.leader()
		}
		if random.IntN(4) == 0 {
			r.Event("%s is killed", f.Nodes[victim].Name)
			f.kill(victim)
			time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
			f.revive(victim)
			continue
		}
		pause := 500*time.Millisecond + time.Duration(random.IntN(4500))*time.Millisecond
		r.Event("%s is stopped for %s", f.Nodes[victim].Name, pause)
		pid := f.pid(victim)
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			f.t.Error(err)
			return
		}
		time.Sleep(pause)
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			f.t.Error(err)
			return
		}
		r.Event("%s goes on", f.Nodes[victim].Name)
		time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
	}
}
