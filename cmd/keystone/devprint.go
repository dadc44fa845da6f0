package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// devReport is the line of `keystone dev --json`.
type devReport struct {
	Nodes  []devReportNode `json:"nodes"`
	Admin  devReportAdmin  `json:"admin"`
	Client devClient       `json:"client"`
}

type devReportNode struct {
	Name string `json:"name"`
	HTTP string `json:"http"` // the URL
	PID  int    `json:"pid"`
}

type devReportAdmin struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// print tells where the nodes are and who can log in.
func (f *fleet) print(out io.Writer) error {
	if f.options.json {
		return f.printJSON(out)
	}
	d := f.dev
	var b strings.Builder
	fmt.Fprintf(&b, "\nKeystone serves on %d nodes. Ctrl-C stops them.\n\n", len(d.Nodes))
	for i, n := range d.Nodes {
		fmt.Fprintf(&b, "  %s   %s   pid %d   log %s\n", n.Name, n.url(), f.running[i].Process.Pid, f.log(i))
	}
	fmt.Fprintf(&b, "\n  administrator   %s   password %s\n", d.Admin.Username, d.Admin.Password)
	fmt.Fprintf(&b, "  demo client     %s   secret %s\n", d.Client.ID, d.Client.Secret)
	b.WriteString(d.lines())
	fmt.Fprintf(&b, "\nThe same credentials after a restart:   keystone dev --data %s\n", d.path)
	_, err := io.WriteString(out, b.String())
	return err
}

func (f *fleet) printJSON(out io.Writer) error {
	d := f.dev
	r := devReport{Admin: devReportAdmin{d.Admin.Username, d.Admin.Password}, Client: d.Client}
	for i, n := range d.Nodes {
		r.Nodes = append(r.Nodes, devReportNode{n.Name, n.url(), f.running[i].Process.Pid})
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = out.Write(append(text, '\n'))
	return err
}

// lines are what a newcomer pastes: each step goes to another node.
func (d *devCluster) lines() string {
	on := func(i int) devNode { return d.Nodes[i%len(d.Nodes)] }
	var urls []string
	for _, n := range d.Nodes {
		urls = append(urls, n.url())
	}
	basic := fmt.Sprintf("-u '%s:%s'", d.Client.ID, d.Client.Secret)
	var b strings.Builder
	fmt.Fprintf(&b, "\nLog in on %s:\n\n", on(0).Name)
	fmt.Fprintf(&b, "  TOKEN=$(curl -s %s/api/v1/auth/token -d 'username=%s' --data-urlencode 'password=%s' | sed -E 's/.*\"access_token\":\"([^\"]+)\".*/\\1/'); echo \"$TOKEN\"\n", on(0).url(), d.Admin.Username, d.Admin.Password)
	fmt.Fprintf(&b, "\nAsk %s whether the token is good:\n\n", on(1).Name)
	fmt.Fprintf(&b, "  curl -s %s %s/api/v1/auth/introspect -d \"token=$TOKEN\"; echo\n", basic, on(1).url())
	fmt.Fprintf(&b, "\nRevoke it on %s, and ask all of them:\n\n", on(2).Name)
	fmt.Fprintf(&b, "  curl -s -H \"Authorization: Bearer $TOKEN\" %s/api/v1/auth/revoke -d \"token=$TOKEN\"; echo\n", on(2).url())
	fmt.Fprintf(&b, "  for node in %s; do curl -s %s $node/api/v1/auth/introspect -d \"token=$TOKEN\"; echo; done\n", strings.Join(urls, " "), basic)
	return b.String()
}
