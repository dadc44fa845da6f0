package oauth

import (
	"slices"

	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/login"
	"github.com/keystone-auth/keystone/store"
	"github.com/keystone-auth/keystone/token"
)

// MaxChecks bounds the questions of one request.
const MaxChecks = 1000

// Check is one question: may the subject do what the scope names? A subject is what the claim of that name
// holds in a token: the id of a person, or a client_id. Usernames are not taken: one could be spelled like
// somebody's client_id.
type Check struct {
	Subject string
	Scope   string
}

// Verdict answers a Check out of the state, whatever a token may say.
type Verdict struct {
	Allowed bool
	Reason  string   // one of the reasons below
	Roles   []string // through which it is allowed
}

// The reasons of a verdict.
const (
	ReasonRole      = "granted_by_role"
	ReasonClient    = "granted_to_client"
	ReasonSuperuser = "superuser"
	ReasonNotHeld   = "not_held"
	ReasonDisabled  = "disabled"
	ReasonUnknown   = "unknown_subject"
)

// Check answers questions in their order. Everybody may ask about themselves; about others, who holds
// admin:permissions and clients that are trusted.
func (s *Service) Check(c Caller, checks []Check) ([]Verdict, error) {
	if err := answerable(checks); err != nil {
		return nil, err
	}
	if err := s.mayAsk(c, checks); err != nil {
		return nil, err
	}
	verdicts := make([]Verdict, len(checks))
	err := s.Store.View(func(r *store.Reader) error {
		held := map[string]holding{}
		for i, check := range checks {
			subject, known := held[check.Subject]
			if !known {
				subject = c.holding(r, check.Subject)
				held[check.Subject] = subject
			}
			verdicts[i] = subject.verdict(check.Scope)
		}
		return nil
	})
	return verdicts, err
}

func answerable(checks []Check) error {
	if len(checks) > MaxChecks {
		return iam.Invalid("checks", "must be at most %d", MaxChecks)
	}
	for _, check := range checks {
		if check.Subject == "" || len(check.Subject) > 255 {
			return iam.Invalid("subject", "must be the id of a user or a client_id")
		}
		if err := iam.CheckScopeName(check.Scope); err != nil {
			return err
		}
	}
	return nil
}

// mayAsk refuses what the caller may not know.
func (s *Service) mayAsk(c Caller, checks []Check) error {
	others := c.Grants(iam.ScopeAdminPermissions)
	own := ""
	switch {
	case c.Client != nil && c.Client.Type != iam.Confidential:
		return iam.Errorf(iam.Forbidden, "A public client proves nothing by its client_id: ask with a token.")
	case c.Client != nil:
		own, others = c.Client.ClientID, c.Client.Trusted
	case c.Claims != nil:
		own = c.Claims.Subject
		if c.Claims.Type == token.TypeService {
			client, known := s.View.Client(own)
			others = others || known && client.Active && client.Trusted
		}
	}
	if others || !slices.ContainsFunc(checks, func(check Check) bool { return check.Subject != own }) {
		return nil
	}
	return iam.Errorf(iam.Forbidden, "Only holders of %s and trusted clients may ask what others may do.", iam.ScopeAdminPermissions)
}

// holding is what a subject holds, by role, or through none for a client.
type holding struct {
	refused   string // why nothing is allowed at all
	superuser bool
	roles     []string
	scopes    [][]string // of each role; of a client its own alone
}

// holding finds out what the subject holds. A program that asks about itself is never taken for a person.
func (c Caller) holding(r *store.Reader, subject string) holding {
	program := c.Client != nil || c.Claims != nil && c.Claims.Type == token.TypeService
	if id, err := iam.ParseID(subject); err == nil && (!program || subject != c.Actor()) {
		if user, known := r.User(id); known {
			return personHolding(r, user)
		}
	}
	client, known := r.ClientByClientID(subject)
	switch {
	case !known:
		return holding{refused: ReasonUnknown}
	case !client.Active:
		return holding{refused: ReasonDisabled}
	}
	return holding{scopes: [][]string{login.ScopeNames(r, client.Scopes)}}
}

func personHolding(r *store.Reader, user iam.User) holding {
	if !user.Active {
		return holding{refused: ReasonDisabled}
	}
	h := holding{superuser: user.Superuser}
	for _, id := range user.Roles {
		if role, ok := r.Role(id); ok {
			h.roles = append(h.roles, role.Name)
			h.scopes = append(h.scopes, login.ScopeNames(r, role.Scopes))
		}
	}
	return h
}

func (h holding) verdict(scope string) Verdict {
	v := Verdict{Reason: ReasonNotHeld, Roles: []string{}}
	if h.refused != "" {
		v.Reason = h.refused
		return v
	}
	for i, scopes := range h.scopes {
		if !iam.Grants(scopes, scope) {
			continue
		}
		v.Allowed, v.Reason = true, ReasonClient
		if h.roles != nil {
			v.Reason, v.Roles = ReasonRole, append(v.Roles, h.roles[i])
		}
	}
	if h.superuser {
		v.Allowed, v.Reason = true, ReasonSuperuser
	}
	slices.Sort(v.Roles)
	return v
}
