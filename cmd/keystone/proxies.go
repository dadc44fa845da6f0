package main

import (
	"net/netip"
	"strings"
)

// trustedProxies refuses a network of everybody: who asks could then be whoever they say.
func trustedProxies(c *Config, v string) error {
	c.Node.TrustedProxies = nil
	for item := range strings.SplitSeq(v, ",") {
		item = strings.TrimSpace(item)
		prefix, err := netip.ParsePrefix(item)
		if addr, single := netip.ParseAddr(item); single == nil && addr.Zone() == "" {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil || prefix.Bits() == 0 {
			return errForm
		}
		if prefix.Addr().Is4In6() { // connections are looked at as IPv4
			if prefix.Bits() <= 96 {
				return errForm
			}
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
		}
		c.Node.TrustedProxies = append(c.Node.TrustedProxies, prefix.Masked())
	}
	return nil
}
