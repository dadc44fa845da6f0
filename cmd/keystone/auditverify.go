package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

// verification is what a proof of the audit log came to. An audit log that is broken is an error instead.
type verification struct {
	First       uint64     `json:"first"` // 0: there are no entries
	Last        uint64     `json:"last"`
	Head        string     `json:"head"` // sequence number and hash of the last entry, for --anchor
	Checkpoints int        `json:"checkpoints"`
	SignedUpTo  uint64     `json:"signed_up_to"`
	SignedAt    *time.Time `json:"signed_at"`
	Signatures  string     `json:"signatures"` // good, or not checked
	Key         string     `json:"key"`        // under which they are good
}

func auditVerifyCommand() *cobra.Command {
	var file, key, anchor string
	cmd := jsonFlag(operatorCommand(&cobra.Command{
		Use:   "verify",
		Short: "Prove that the audit log is what was written",
		Long: `Follows the audit log from its first entry to its last and names the first one that does not fit.
It asks a running node, or reads the state file of one that does not run (or a copy of it).

The signatures of checkpoints are checked with the cluster secret: that of KEYSTONE_SECRET, or the one in
the data folder. Who is not to have the secret can be given the key that this command prints, for --key.

Whoever holds the secret and can write the files of all nodes could write the log anew. So note the head
that is printed, outside of the cluster, and prove later with --anchor that the log still goes through it.`,
		Example: `  keystone audit verify
  keystone audit verify --file /var/lib/keystone/state.db
  keystone audit verify --anchor 1200:5f0c…`,
		Args: cobra.NoArgs,
	}))
	cmd.Flags().StringVar(&file, "file", "", "read this state file instead of asking a node")
	cmd.Flags().StringVar(&key, "key", "", "check the signatures with this public key instead of the cluster secret")
	cmd.Flags().StringVar(&anchor, "anchor", "", "a head that was noted before, as sequence:hash")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		mark, err := parseAnchor(anchor)
		if err != nil {
			return err
		}
		notary, err := notaryFor(cmd, file, key)
		if err != nil {
			return err
		}
		var signed func(iam.AuditCheckpoint) error
		if notary != nil {
			signed = notary.Check
		}
		chain := &iam.AuditChain{Signed: signed}
		if file != "" {
			chain, err = verifyFile(file, signed, &mark)
		} else {
			err = asOperator(cmd, func(_ context.Context, c *client.Client) error {
				chain, err = verifyNode(cmd.Context(), c, signed, &mark)
				return err
			})
		}
		if err = errors.Join(err, mark.check(chain, err)); err != nil {
			return err
		}
		return printVerification(cmd, chain, notary)
	}
	return cmd
}

// anchor is the head of the log as it was noted once.
type anchor struct {
	sequence uint64
	hash     iam.AuditHash
	is       iam.AuditHash // that of the entry as it is now
}

func parseAnchor(text string) (a anchor, err error) {
	if text == "" {
		return a, nil
	}
	number, hash, _ := strings.Cut(text, ":")
	a.sequence, err = strconv.ParseUint(number, 10, 63)
	parsed, ok := iam.ParseAuditHash(hash)
	if a.hash = parsed; err != nil || !ok || a.sequence == 0 {
		return a, errors.New("--anchor must be the head that keystone audit verify printed, as sequence:hash")
	}
	return a, nil
}

// check compares a log that is whole in itself with the anchor.
func (a anchor) check(chain *iam.AuditChain, broken error) error {
	switch {
	case a.sequence == 0 || broken != nil:
		return nil
	case a.sequence > chain.Last:
		return &iam.AuditBreak{Sequence: chain.Last + 1, What: fmt.Sprintf("it is missing: when the anchor was noted, the log went on to entry %d", a.sequence)}
	case a.sequence < chain.First:
		return fmt.Errorf("the entry of the anchor was removed from the audit log, which begins at %d by now: note its head more often than that", chain.First)
	case a.is == a.hash:
		return nil
	}
	return &iam.AuditBreak{Sequence: a.sequence, What: fmt.Sprintf("it has the hash %s, and had %s when the anchor was noted: the history was written anew", a.is, a.hash)}
}

// notaryFor finds what signatures can be checked with; nil is nothing.
func notaryFor(cmd *cobra.Command, file, key string) (*secret.Notary, error) {
	if key != "" {
		n, ok := secret.NotaryOf(key)
		if !ok {
			return nil, errors.New("--key must be the key that keystone audit verify printed, 64 hexadecimal digits")
		}
		return n, nil
	}
	secrets, err := secretsOf(cmd, file)
	if err != nil || len(secrets) == 0 {
		return nil, err
	}
	return secret.NewNotary(secrets[0], secrets[1:]...), nil
}

// secretsOf finds the cluster secret, the present one first: that of the settings, else the one beside a state
// file or in the data folder. There may be none.
func secretsOf(cmd *cobra.Command, file string) ([]secret.ClusterSecret, error) {
	var c Config
	from, problems := openSources(cmd.Flags(), os.Environ())
	if len(problems) > 0 {
		return nil, problems[0]
	}
	for _, s := range settings {
		if s.env != "KEYSTONE_SECRET" && s.env != "KEYSTONE_SECRET_PREVIOUS" {
			continue
		}
		v, err := from.find(s)
		if err == nil && v.text != "" {
			if err = s.set(&c, v.text); err != nil {
				err = s.complaint(v.name, v.text, err)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if c.Node.Secret.IsZero() {
		if err := secretOfFolder(cmd, file, &c); err != nil || c.Node.Secret.IsZero() {
			return nil, err
		}
	}
	return append([]secret.ClusterSecret{c.Node.Secret}, c.Node.Previous...), nil
}

// secretOfFolder reads the secret beside the state, where a node keeps it that was given none.
func secretOfFolder(cmd *cobra.Command, file string, c *Config) error {
	folder := filepath.Dir(file)
	if url, _ := cmd.Flags().GetString("url"); url != "" && file == "" {
		return nil
	}
	if file == "" {
		var err error
		if folder, err = dataFolder(cmd.Flags()); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(node.SecretFile(folder))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil
	}
	if err == nil {
		var others []secret.ClusterSecret
		c.Node.Secret, others, err = secret.ParseClusterSecrets(string(text))
		c.Node.Previous = append(c.Node.Previous, others...)
	}
	return err
}

func verifyFile(path string, signed func(iam.AuditCheckpoint) error, mark *anchor) (*iam.AuditChain, error) {
	s, err := store.OpenReadOnly(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	chain, err := s.VerifyAudit(signed)
	if err != nil {
		return nil, err
	}
	return chain, s.View(func(r *store.Reader) error {
		e, _ := r.AuditEntry(mark.sequence)
		mark.is = e.Hash
		return nil
	})
}

// verifyNode follows the log that a node exports. It computes all hashes itself.
func verifyNode(ctx context.Context, c *client.Client, signed func(iam.AuditCheckpoint) error, mark *anchor) (*iam.AuditChain, error) {
	for {
		proof, err := auditProof(ctx, c)
		if err != nil {
			return nil, err
		}
		chain, err := followExport(ctx, c, proof, signed, mark)
		var broken *iam.AuditBreak
		if !errors.As(err, &broken) {
			return chain, err
		}
		// The oldest entries may have been removed between the two requests.
		again, failed := auditProof(ctx, c)
		if failed != nil || again.begins() == proof.begins() {
			return nil, err
		}
	}
}

// proof is what a log must fit.
type proof struct {
	sequence    uint64
	head        iam.AuditHash
	checkpoints []iam.AuditCheckpoint
}

// begins is the last entry that was removed.
func (p proof) begins() uint64 {
	if len(p.checkpoints) == 0 || !p.checkpoints[0].Removed {
		return 0
	}
	return p.checkpoints[0].Sequence
}

func auditProof(ctx context.Context, c *client.Client) (p proof, err error) {
	for after := uint64(0); ; {
		page, err := c.AuditCheckpoints(ctx, after)
		if err != nil {
			return p, err
		}
		for _, checkpoint := range page.Checkpoints {
			read, err := checkpointOf(checkpoint)
			if err != nil {
				return p, err
			}
			p.checkpoints = append(p.checkpoints, read)
		}
		p.sequence = page.Sequence
		p.head, _ = iam.ParseAuditHash(page.Hash)
		if after = page.Next; after == 0 {
			return p, nil
		}
	}
}

func checkpointOf(c api.AuditCheckpoint) (iam.AuditCheckpoint, error) {
	hash, ok := iam.ParseAuditHash(c.Hash)
	key, badKey := hex.DecodeString(c.PublicKey)
	signature, badSignature := hex.DecodeString(c.Signature)
	if !ok || badKey != nil || badSignature != nil {
		return iam.AuditCheckpoint{}, &iam.AuditBreak{Sequence: c.Sequence, What: "its checkpoint cannot be read"}
	}
	return iam.AuditCheckpoint{Sequence: c.Sequence, Hash: hash, At: iam.TimeOf(c.Time), Removed: c.Removed, Key: key, Signature: signature}, nil
}

func followExport(ctx context.Context, c *client.Client, p proof, signed func(iam.AuditCheckpoint) error, mark *anchor) (*iam.AuditChain, error) {
	chain := &iam.AuditChain{Checkpoints: p.checkpoints, Signed: signed}
	err := c.ExportAudit(ctx, client.AuditQuery{After: p.begins()}, func(line []byte) error {
		var event api.AuditEvent
		if err := json.Unmarshal(line, &event); err != nil {
			return &iam.AuditBreak{Sequence: chain.Last + 1, What: "it cannot be read"}
		}
		if event.Sequence > p.sequence && chain.Last == p.sequence {
			return nil // it came in meanwhile
		}
		entry := entryOf(event)
		if entry.Sequence == mark.sequence {
			mark.is = entry.Hash
		}
		return chain.Follow(entry)
	})
	if err != nil {
		return nil, err
	}
	return chain, chain.End(p.sequence, p.head)
}

// entryOf makes an entry of what an event says of it. A hash that cannot be read fits nothing.
func entryOf(e api.AuditEvent) iam.AuditEntry {
	entry := iam.AuditEntry{
		Sequence: e.Sequence, At: iam.TimeOf(e.Time), Type: e.Type, Actor: e.Actor, Target: e.Target, Result: e.Result,
		Reason: e.Reason, IP: e.IPAddress, UserAgent: e.UserAgent, RequestID: e.RequestID, Count: e.Count,
	}
	entry.Hash, _ = iam.ParseAuditHash(e.Hash)
	entry.Previous, _ = iam.ParseAuditHash(e.PreviousHash)
	return entry
}

func printVerification(cmd *cobra.Command, chain *iam.AuditChain, notary *secret.Notary) error {
	v := verification{
		First: chain.First, Last: chain.Last, Head: fmt.Sprintf("%d:%s", chain.Last, chain.Head),
		Checkpoints: len(chain.Checkpoints), Signatures: "not checked",
	}
	if n := len(chain.Checkpoints); n > 0 {
		at := chain.Checkpoints[n-1].At.Std()
		v.SignedUpTo, v.SignedAt = chain.Checkpoints[n-1].Sequence, &at
	}
	if notary != nil {
		v.Signatures, v.Key = "good", notary.Key()
	}
	out := cmd.OutOrStdout()
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		return json.NewEncoder(out).Encode(v)
	}
	if v.First == 0 {
		fmt.Fprintln(out, "the audit log is empty")
		return nil
	}
	fmt.Fprintf(out, "the audit log is whole from entry %d to %d\nhead         %s\n", v.First, v.Last, v.Head)
	switch {
	case v.SignedAt == nil:
		fmt.Fprintln(out, "checkpoints  none yet")
	default:
		fmt.Fprintf(out, "checkpoints  %d, the last of entry %d at %s\n", v.Checkpoints, v.SignedUpTo, v.SignedAt.Format(time.RFC3339))
	}
	if notary == nil {
		fmt.Fprintln(out, "signatures   not checked: set KEYSTONE_SECRET or KEYSTONE_SECRET_FILE, or give the public key with --key")
		return nil
	}
	fmt.Fprintf(out, "signatures   good under the key %s\n", v.Key)
	return nil
}
