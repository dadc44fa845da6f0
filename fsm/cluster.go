package fsm

import (
	"slices"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// Initialize gives a new cluster its settings, scopes and roles. Invariant: it takes effect once; on
// a cluster that has settings it changes nothing.
type Initialize struct {
	Settings iam.Settings `cbor:"1,keyasint"`
	Scopes   []iam.Scope  `cbor:"2,keyasint"`
	Roles    []iam.Role   `cbor:"3,keyasint"`
}

// Kind implements Command.
func (*Initialize) Kind() Kind { return kindInitialize }

// Denies implements Command.
func (*Initialize) Denies() bool { return false }

func (c *Initialize) event() Event { return Event{"cluster.initialized", ""} }

// Validate implements Command.
func (c *Initialize) Validate() error {
	for _, s := range c.Scopes {
		if err := (&PutScope{Scope: s}).Validate(); err != nil {
			return err
		}
	}
	for _, r := range c.Roles {
		if err := (&PutRole{Role: r}).Validate(); err != nil {
			return err
		}
	}
	if err := c.checkSet(); err != nil {
		return err
	}
	return c.Settings.Check()
}

// checkSet refuses rows that could not stand side by side in the state.
func (c *Initialize) checkSet() error {
	scopes, roles, names := map[iam.ID]bool{}, map[iam.ID]bool{}, map[string]bool{}
	for _, s := range c.Scopes {
		if scopes[s.ID] || names["scope "+s.Name] {
			return iam.Errorf(iam.InternalError, "Two of the first scopes have one id or name.")
		}
		scopes[s.ID], names["scope "+s.Name] = true, true
	}
	for _, r := range c.Roles {
		if roles[r.ID] || names["role "+r.Name] {
			return iam.Errorf(iam.InternalError, "Two of the first roles have one id or name.")
		}
		if slices.ContainsFunc(r.Scopes, func(id iam.ID) bool { return !scopes[id] }) {
			return iam.Errorf(iam.InternalError, "One of the first roles has a scope that is not among the first scopes.")
		}
		roles[r.ID], names["role "+r.Name] = true, true
	}
	return nil
}

func (c *Initialize) apply(tx *store.Tx, m Meta) (any, error) {
	if _, done := tx.Settings(); done {
		return nil, iam.Errorf(iam.Conflict, "The cluster is initialized.")
	}
	for _, s := range c.Scopes {
		_, exists := tx.Scope(s.ID)
		if _, taken := tx.ScopeByName(s.Name); taken || exists {
			return nil, iam.Errorf(iam.Conflict, "A scope of this name exists.")
		}
	}
	for _, r := range c.Roles {
		_, exists := tx.Role(r.ID)
		if _, taken := tx.RoleByName(r.Name); taken || exists {
			return nil, iam.Errorf(iam.Conflict, "A role of this name exists.")
		}
	}
	tx.PutSettings(c.Settings)
	for _, s := range c.Scopes {
		s.CreatedAt, s.UpdatedAt, s.Changed = m.At, m.At, m.Index
		tx.PutScope(s)
	}
	for _, r := range c.Roles {
		r.Scopes, r.CreatedAt, r.UpdatedAt, r.Changed = distinct(r.Scopes), m.At, m.At, m.Index
		tx.PutRole(r)
	}
	return nil, nil
}

// SetSettings changes the settings on all nodes at the same place of the log.
type SetSettings struct {
	Settings iam.Settings `cbor:"1,keyasint"`
}

// Kind implements Command.
func (*SetSettings) Kind() Kind { return kindSetSettings }

// Denies implements Command.
func (*SetSettings) Denies() bool { return false }

func (c *SetSettings) event() Event { return Event{"settings.changed", ""} }

// Validate implements Command.
func (c *SetSettings) Validate() error { return c.Settings.Check() }

func (c *SetSettings) apply(tx *store.Tx, _ Meta) (any, error) {
	tx.PutSettings(c.Settings)
	return nil, nil
}

// Expire removes rows whose time is over: sessions, revocations, keys and outcomes. The state's own
// clock decides, so that a proposer whose clock runs ahead cannot take away what is still good by
// more than it has moved that clock. Its value is the number of rows removed.
type Expire struct {
	Most int `cbor:"1,keyasint"` // of each kind, so that the transaction stays short
}

// Kind implements Command.
func (*Expire) Kind() Kind { return kindExpire }

// Denies implements Command.
func (*Expire) Denies() bool { return false }

func (*Expire) event() Event { return Event{} }

// Validate implements Command.
func (c *Expire) Validate() error {
	if c.Most < 1 || c.Most > 10_000 {
		return iam.Errorf(iam.InternalError, "Between 1 and 10,000 rows can expire at a time.")
	}
	return nil
}

func (c *Expire) apply(tx *store.Tx, m Meta) (any, error) {
	return tx.Expire(m.At, c.Most), nil
}

// RecordAudit writes audit entries of what changed nothing else, such as failed logins, many at a
// time. Invariant: no entry is dated later than the state, nor over iam.AuditLate before it.
type RecordAudit struct {
	Entries []iam.AuditEntry `cbor:"1,keyasint"`
}

// Kind implements Command.
func (*RecordAudit) Kind() Kind { return kindRecordAudit }

// Denies implements Command.
func (*RecordAudit) Denies() bool { return false }

func (*RecordAudit) event() Event { return Event{} }

// Validate implements Command.
func (c *RecordAudit) Validate() error {
	if len(c.Entries) == 0 || len(c.Entries) > 1000 {
		return iam.Errorf(iam.InternalError, "Between 1 and 1,000 audit entries can be written at a time.")
	}
	return nil
}

func (c *RecordAudit) apply(tx *store.Tx, m Meta) (any, error) {
	for _, e := range c.Entries {
		e.At = min(max(e.At, m.At.Add(-iam.AuditLate)), m.At)
		tx.AppendAudit(e)
	}
	return nil, nil
}
