package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
)

// devCluster is what `keystone dev` remembers in dev.json, mode 0600.
type devCluster struct {
	Secret string    `json:"cluster_secret"`
	Nodes  []devNode `json:"nodes"`
	Admin  devAdmin  `json:"admin"`
	Client devClient `json:"client"`

	path string
	lock *os.File
}

type devNode struct {
	Name        string `json:"name"`
	Port        int    `json:"http_port"`
	ClusterPort int    `json:"cluster_port"`
}

type devAdmin struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Made     bool   `json:"made"` // not only decided on
}

type devClient struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

func (n devNode) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(n.Port)) }

func (n devNode) clusterAddress() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(n.ClusterPort))
}

func (n devNode) url() string { return "http://" + n.address() }

func (d *devCluster) folder(n devNode) string { return filepath.Join(d.path, n.Name) }

func (d *devCluster) file() string { return filepath.Join(d.path, "dev.json") }

// openDev opens or makes the data folder and makes sure that the nodes can have their ports, before
// any of them is started.
func openDev(o devOptions) (*devCluster, error) {
	path, err := devFolder(o.data)
	if err != nil {
		return nil, err
	}
	d := &devCluster{path: path}
	if d.lock, err = node.Lock(filepath.Join(path, "dev.lock")); err != nil {
		return nil, fmt.Errorf("the data folder %s: %w", path, err)
	}
	if err := d.prepare(o); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// devFolder makes the folder. One that holds something other than a cluster of ours is refused.
func devFolder(path string) (string, error) {
	if path == "" {
		return os.MkdirTemp("", "keystone-dev-")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", fmt.Errorf("the data folder cannot be made: %w: choose another one with --data", err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return "", fmt.Errorf("the data folder cannot be read: %w: run this as the user that owns it, or choose another one with --data", err)
	}
	if _, err := os.Stat(filepath.Join(path, "dev.lock")); err != nil && len(entries) > 0 {
		return "", fmt.Errorf("the folder %s holds %s and no cluster of keystone dev: choose an empty one", path, entries[0].Name())
	}
	return path, nil
}

func (d *devCluster) close() { d.lock.Close() }

// prepare reads what an earlier start remembered, or decides and remembers it.
func (d *devCluster) prepare(o devOptions) error {
	text, err := os.ReadFile(d.file())
	known := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("what the last keystone dev remembered cannot be read: %w: start with another --data", err)
	}
	if known {
		if err := json.Unmarshal(text, d); err != nil || len(d.Nodes) == 0 {
			return fmt.Errorf("%s is broken: put it back, or start with another --data", d.file())
		}
		if o.nodesSet && o.nodes != len(d.Nodes) {
			return fmt.Errorf("the data in %s is that of %d nodes: leave --nodes out, or start with another --data", d.path, len(d.Nodes))
		}
	} else {
		d.Secret = secret.NewClusterSecret().Reveal()
		for i := range o.nodes {
			d.Nodes = append(d.Nodes, devNode{Name: fmt.Sprintf("node-%d", i+1)})
		}
	}
	if !known || o.portSet {
		for i := range d.Nodes {
			d.Nodes[i].Port = o.port + i
		}
	}
	if d.isNew() {
		d.Admin, d.Client = devAdmin{}, devClient{}
	}
	if err := d.claimPorts(known); err != nil {
		return err
	}
	return d.save()
}

// isNew tells whether no node has run on the data yet, or somebody wiped them all.
func (d *devCluster) isNew() bool {
	for _, n := range d.Nodes {
		if node.IsUsed(d.folder(n)) {
			return false
		}
	}
	return true
}

func (d *devCluster) save() error {
	text, err := json.MarshalIndent(d, "", "  ") //nolint:gosec // the file is where the secret is to be kept
	if err == nil {
		err = node.WriteFile(d.file(), append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("the ports and credentials cannot be kept: %w: start with another --data", err)
	}
	return nil
}

// claimPorts makes sure that every port is free, and picks those of the cluster on the first start.
// The nodes of a keystone dev that was killed a moment ago may still hold theirs.
func (d *devCluster) claimPorts(known bool) error {
	patience := time.Now()
	if known {
		patience = patience.Add(3 * time.Second)
	}
	for i := range d.Nodes {
		n := &d.Nodes[i]
		if d.isClusterPort(n.Port) {
			return fmt.Errorf("port %d, which %s is to serve on, is one at which the nodes know each other: choose others with --port, such as --port %d", n.Port, n.Name, otherPort(n.Port))
		}
		if !freeBy(patience, free, n.address()) {
			return fmt.Errorf("port %d, which %s is to serve on, is in use: choose others with --port, such as --port %d", n.Port, n.Name, otherPort(n.Port))
		}
		if n.ClusterPort == 0 {
			n.ClusterPort = d.pickPort()
		}
		if !freeBy(patience, freeForCluster, n.clusterAddress()) {
			return fmt.Errorf("port %d, at which the other nodes know %s, is in use: stop the program that has it, or start with another --data", n.ClusterPort, n.Name)
		}
	}
	return nil
}

func (d *devCluster) isClusterPort(port int) bool {
	return slices.ContainsFunc(d.Nodes, func(n devNode) bool { return n.ClusterPort == port })
}

func otherPort(port int) int {
	if port < 60_000 {
		return port + 1000
	}
	return 8000
}

// pickPort finds a free port below those that systems give to outgoing connections, or one of these
// could have it when the cluster is started again. None of the nodes runs yet, so that a port which
// another of them is to have looks free.
func (d *devCluster) pickPort() int {
	for {
		port := 20_000 + rand.IntN(10_000) //nolint:gosec // any port is as good as another
		ours := d.isClusterPort(port) || slices.ContainsFunc(d.Nodes, func(n devNode) bool { return n.Port == port })
		if !ours && freeForCluster(devNode{ClusterPort: port}.clusterAddress()) {
			return port
		}
	}
}

func freeBy(patience time.Time, free func(string) bool, address string) bool {
	for !free(address) {
		if time.Now().After(patience) {
			return false
		}
		time.Sleep(50 * time.Millisecond)
	}
	return true
}

func free(address string) bool {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// freeForCluster asks for UDP too, over which the nodes gossip.
func freeForCluster(address string) bool {
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	return c.Close() == nil && free(address)
}

// waitServing returns when every node is ready for traffic.
func waitServing(ctx context.Context, d *devCluster) error {
	return eachNode(ctx, d, func(ctx context.Context, c *client.Client) bool {
		ready, _ := c.Ready(ctx)
		return ready
	})
}

// eachNode asks every node until it says what is hoped for.
func eachNode(ctx context.Context, d *devCluster, hope func(context.Context, *client.Client) bool) error {
	for _, n := range d.Nodes {
		c, err := client.New(n.url())
		if err != nil {
			return err
		}
		defer c.Close()
		for !hope(ctx, c) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s did not serve within %s: see %s", n.Name, servingWithin, filepath.Join(d.folder(n), node.LogName))
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

// setUp makes the administrator and the demo client where they are missing.
func (d *devCluster) setUp(ctx context.Context) error {
	operator, err := client.New("unix:" + node.Socket(d.folder(d.Nodes[0])))
	if err != nil {
		return err
	}
	defer operator.Close()
	if err := d.makeAdmin(ctx, operator); err != nil {
		return fmt.Errorf("the administrator was not made: %w", err)
	}
	if err := d.makeClient(ctx, operator); err != nil {
		return fmt.Errorf("the demo client was not made: %w", err)
	}
	made, err := operator.Health(ctx)
	if err != nil {
		return err
	}
	return eachNode(ctx, d, func(ctx context.Context, c *client.Client) bool {
		h, err := c.Health(ctx) // by now each node has to know what was made through one of them
		return err == nil && h.AppliedIndex >= made.AppliedIndex
	})
}

// makeAdmin makes the administrator with a password that is remembered first, so that a start that
// was cut short can be finished.
func (d *devCluster) makeAdmin(ctx context.Context, operator *client.Client) error {
	if d.Admin.Made {
		return nil
	}
	if d.Admin.Password == "" {
		d.Admin = devAdmin{Username: "admin", Password: secret.GeneratePassword()}
		if err := d.save(); err != nil {
			return err
		}
	}
	err := again(ctx, func() error {
		_, err := operator.CreateUser(ctx, api.CreateUserRequest{
			Username: d.Admin.Username, Password: d.Admin.Password, Email: "admin@example.org", Roles: []string{iam.RoleAdmin},
		})
		return err
	})
	if err != nil && client.CodeOf(err) != string(iam.Conflict) {
		return err
	}
	d.Admin.Made = true
	return d.save()
}

// demoScopes are what the demo client may ask for.
var demoScopes = []string{"read:demo", "write:demo"}

// makeClient makes the demo client and its scopes. Its secret is told once, in the answer.
func (d *devCluster) makeClient(ctx context.Context, operator *client.Client) error {
	if d.Client.ID != "" {
		return nil
	}
	for _, name := range demoScopes {
		action, resource, _ := strings.Cut(name, ":")
		err := again(ctx, func() error {
			_, err := operator.CreateScope(ctx, api.CreateScopeRequest{Name: name, Description: "For the demo client", Action: action, Resource: resource})
			return err
		})
		if err != nil && client.CodeOf(err) != string(iam.Conflict) {
			return err
		}
	}
	var made api.Client
	err := again(ctx, func() (err error) {
		made, err = operator.CreateClient(ctx, api.CreateClientRequest{
			ClientID: "demo-service", Name: "Demo service", ClientType: string(iam.Confidential), Scopes: demoScopes,
		})
		return err
	})
	if client.CodeOf(err) == string(iam.Conflict) {
		return errors.New("it exists, but a start that was cut short has lost its secret: start with another --data")
	}
	if err != nil {
		return err
	}
	d.Client = devClient{ID: made.ClientID, Secret: made.ClientSecret}
	return d.save()
}

// again repeats a call while the cluster says that it cannot answer yet.
func again(ctx context.Context, call func() error) error {
	for {
		err := call()
		if client.CodeOf(err) != string(iam.TemporarilyUnavailable) || ctx.Err() != nil {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}
