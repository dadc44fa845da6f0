package main

import (
	"cmp"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/keystone-auth/keystone/cluster"
	"github.com/keystone-auth/keystone/lease"
	"github.com/keystone-auth/keystone/secret"
)

func leaseLength() setting {
	return setting{
		env: "KEYSTONE_LEASE", std: "1s", doc: "how long a node that is cut off goes on answering, and a revocation waits for it; the same on every node",
		want: "a duration from 100ms to 3s",
		set: func(c *Config, v string) (err error) {
			c.Node.Timings.Lease, err = time.ParseDuration(v)
			return cmp.Or(err, refuse(c.Node.Timings.Lease < lease.Shortest || c.Node.Timings.Lease > lease.Longest))
		},
	}
}

func leaseMargin() setting {
	return setting{
		env: "KEYSTONE_LEASE_MARGIN", std: "5%", doc: "by how much the clocks of two nodes may differ in rate; the same on every node",
		want: "a percentage from 1% to 50%",
		set: func(c *Config, v string) error {
			percent, err := strconv.ParseFloat(strings.TrimSuffix(v, "%"), 64)
			c.Node.Timings.LeaseMargin = percent / 100
			return cmp.Or(err, refuse(!(c.Node.Timings.LeaseMargin >= lease.LeastMargin && c.Node.Timings.LeaseMargin <= lease.MostMargin)))
		},
	}
}

func staleReads() setting {
	return setting{
		env: "KEYSTONE_STALE_READS", std: "0s", doc: "how late an answer may be when this node can reach nobody, marked by Keystone-Staleness-Ms; 0s: then there is none",
		want: "a duration from 0s to 1h, such as 30s",
		set: func(c *Config, v string) (err error) {
			c.Node.StaleReads, err = time.ParseDuration(v)
			return cmp.Or(err, refuse(c.Node.StaleReads < 0 || c.Node.StaleReads > time.Hour))
		},
	}
}

func drainTime() setting {
	return setting{
		env: "KEYSTONE_DRAIN", std: "0s", doc: "how long a node that stops goes on answering while /health/ready says 503, so that a load balancer can notice",
		want: "a duration from 0s to 20s",
		set: func(c *Config, v string) (err error) {
			c.Node.Drain, err = time.ParseDuration(v)
			return cmp.Or(err, refuse(c.Node.Drain < 0 || c.Node.Drain > 20*time.Second))
		},
	}
}

func minFreeDisk() setting {
	return setting{
		env: "KEYSTONE_MIN_FREE_DISK_MIB", std: "64", doc: "with less space than so many MiB in the data folder a node lets others lead; 0 = it leads however little there is",
		want: "a whole number from 0 to 1048576",
		set: func(c *Config, v string) error {
			mib, err := strconv.ParseUint(v, 10, 64)
			c.Node.MinFree = mib << 20
			return cmp.Or(err, refuse(mib > 1<<20))
		},
	}
}

func clusterAddress(c *Config, v string) error {
	bind, advertise, both := strings.Cut(v, ",")
	c.Node.Bind = bind
	err := checkAddress(bind)
	if both {
		c.announced = advertise
		err = errors.Join(err, checkAddress(advertise))
	}
	return err
}

func initialNodes(c *Config, v string) error {
	c.Node.Initial = nil
	names, addresses := map[string]bool{}, map[string]bool{}
	for item := range strings.SplitSeq(v, ",") {
		name, at, found := strings.Cut(strings.TrimSpace(item), "=")
		if !found || !nodeName.MatchString(name) || checkAddress(at) != nil || strings.HasPrefix(at, ":") || names[name] || addresses[at] {
			return errForm
		}
		names[name], addresses[at] = true, true
		c.Node.Initial = append(c.Node.Initial, cluster.Peer{Name: name, Address: at})
	}
	return nil
}

func joinAddresses(c *Config, v string) error {
	c.Node.Join = nil
	for item := range strings.SplitSeq(v, ",") {
		at := strings.TrimSpace(item)
		if checkAddress(at) != nil || strings.HasPrefix(at, ":") {
			return errForm
		}
		c.Node.Join = append(c.Node.Join, at)
	}
	return nil
}

func previousSecrets(c *Config, v string) error {
	for item := range strings.SplitSeq(v, ",") {
		s, err := secret.ParseClusterSecret(item)
		if err != nil {
			return err
		}
		c.Node.Previous = append(c.Node.Previous, s)
	}
	return nil
}
