package importer

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

func (v *verifier) scope(s *api.ImportScope, here *iam.Scope) (f findings) {
	adopted := v.adopted(iam.ImportScope, s.ID, here.ID)
	f.differ("description", s.Description != here.Description && !(adopted && s.Description == ""))
	f.differ("resource", s.Resource != here.Resource && !(adopted && s.Resource == ""))
	v.stamps(&f, createdUnless(adopted, s.CreatedAt), s.UpdatedAt, here.CreatedAt, here.UpdatedAt)
	return f
}

func (v *verifier) role(s *api.ImportRole, here *iam.Role) (f findings) {
	adopted := v.adopted(iam.ImportRole, s.ID, here.ID)
	f.differ("description", s.Description != here.Description && !(adopted && s.Description == ""))
	scopes := s.Scopes
	if adopted { // it keeps what Keystone needs it to have
		scopes = append(v.namesOf(here.Scopes), scopes...)
	}
	f.differ("scopes", !v.sameNames(scopes, here.Scopes))
	v.stamps(&f, createdUnless(adopted, s.CreatedAt), s.UpdatedAt, here.CreatedAt, here.UpdatedAt)
	return f
}

// adopted tells whether the scope or role was in the cluster before the import, which then changed no more of it than
// it had to.
func (v *verifier) adopted(kind iam.ImportKind, there string, here iam.ID) bool {
	id, _ := iam.ParseID(there)
	record, _ := v.now.Imported(kind, id)
	return !v.o.Strict && (record.Adopted || id != here)
}

// createdUnless leaves it to the cluster when a row was made that was adopted.
func createdUnless(adopted bool, created time.Time) time.Time {
	if adopted {
		return time.Time{}
	}
	return created
}

func (v *verifier) user(s *api.ImportUser, here *iam.User) (f findings) {
	f.differ("username", !sameName(s.Username, here.Username))
	f.differ("email", !sameName(s.Email, here.Email))
	f.differ("first_name", s.FirstName != here.FirstName)
	f.differ("last_name", s.LastName != here.LastName)
	f.differ("display_name", s.DisplayName != here.DisplayName)
	f.differ("bio", s.Bio != here.Bio)
	f.differ("is_active", s.Active != here.Active)
	f.differ("is_verified", s.Verified != here.Verified)
	f.differ("is_superuser", s.Superuser != here.Superuser)
	f.differ("roles", !v.sameNames(s.Roles, here.Roles))
	v.password(&f, s, here)
	v.moves(&f, "last_login", s.LastLogin, here.LastLogin)
	v.moves(&f, "locked_until", s.LockedUntil, here.LockedUntil)
	v.stamps(&f, s.CreatedAt, s.UpdatedAt, here.CreatedAt, here.UpdatedAt)
	return f
}

// password compares what is kept of a password. The hash is another one where Keystone could not use the one that
// came, where the user has a new password here, and where a login showed that it was weaker than the policy asks for.
func (v *verifier) password(f *findings, s *api.ImportUser, here *iam.User) {
	// What a row without that time has is when it was made, as in the documented schema.
	changed, changedHere := iam.TimeOf(s.PasswordChangedAt), max(here.PasswordChangedAt, here.CreatedAt)
	if changed == 0 {
		changed = iam.TimeOf(s.CreatedAt)
	}
	switch newer := changedHere > changed; {
	case newer && !v.o.Strict:
		f.movedOn = true
	case changedHere != changed:
		f.differ("password_changed_at", true)
		f.differ("password_hash", s.PasswordHash != here.PasswordHash)
	case s.PasswordHash == here.PasswordHash:
	case here.PasswordHash == iam.UnusableHash:
		f.mustReset = true
	case !v.o.Strict && hashedAnew(s, here):
		f.hashedAnew = true
	default:
		f.differ("password_hash", true)
	}
}

// hashedAnew tells whether the hash here can be of the same password: Keystone made it, with other parameters than
// those of the source, at a login that the source does not know of. A hash that came to the wrong user fits none of that.
func hashedAnew(s *api.ImportUser, here *iam.User) bool {
	return strings.HasPrefix(here.PasswordHash, "$argon2id$") && parameters(here.PasswordHash) != parameters(s.PasswordHash) &&
		here.LastLogin > iam.TimeOf(s.LastLogin)
}

// parameters is a hash in PHC form without its salt and sum.
func parameters(hash string) string {
	parts := strings.Split(hash, "$")
	return strings.Join(parts[:max(1, len(parts)-2)], "$")
}

func (v *verifier) client(s *api.ImportClient, here *iam.Client) (f findings) {
	f.differ("client_id", s.ClientID != here.ClientID)
	v.secret(&f, s, here)
	f.differ("name", s.Name != here.Name)
	f.differ("description", s.Description != here.Description)
	f.differ("client_type", s.Type != string(here.Type))
	f.differ("is_active", s.Active != here.Active)
	f.differ("is_trusted", s.Trusted != here.Trusted)
	f.differ("scopes", !v.sameNames(s.Scopes, here.Scopes))
	lifetime := v.now.settings.ServiceSeconds // of a client that has none of its own
	f.differ("access_token_lifetime", cmp.Or(s.AccessLifetime, lifetime) != cmp.Or(here.AccessLifetime, lifetime))
	f.differ("refresh_token_lifetime", s.RefreshLifetime != here.RefreshLifetime)
	f.differ("rate_limit_per_minute", s.RatePerMinute != here.RatePerMinute)
	f.differ("rate_limit_per_hour", s.RatePerHour != here.RatePerHour)
	f.differ("allowed_ips", !slices.Equal(networks(s.AllowedIPs), networks(here.AllowedIPs)))
	f.differ("contact_email", s.ContactEmail != here.ContactEmail)
	f.differ("website_url", s.WebsiteURL != here.WebsiteURL)
	f.differ("webhook_url", s.WebhookURL != here.WebhookURL)
	v.moves(&f, "last_used", s.LastUsed, here.LastUsed)
	if s.TotalRequests < here.TotalRequests && !v.o.Strict {
		f.movedOn = true
	} else {
		f.differ("total_requests", s.TotalRequests != here.TotalRequests)
	}
	v.stamps(&f, s.CreatedAt, s.UpdatedAt, here.CreatedAt, here.UpdatedAt)
	return f
}

// secret compares what is kept of a client's secret, if it can keep one.
func (v *verifier) secret(f *findings, s *api.ImportClient, here *iam.Client) {
	hash, digest := iam.ParseSecretForm(s.SecretHash)
	switch {
	case here.Type == iam.Public:
	case hash == here.SecretHash && bytes.Equal(digest, here.SecretDigest):
	case here.SecretHash == iam.UnusableHash:
		f.mustReset = true
	default:
		f.differ("client_secret_hash", true)
	}
}

// moves compares a time that a cluster which is in use moves on by itself.
func (v *verifier) moves(f *findings, field string, there time.Time, here iam.Time) {
	if here > iam.TimeOf(there) && !v.o.Strict {
		f.movedOn = true
		return
	}
	f.differ(field, here != iam.TimeOf(there))
}

// stamps compares when a row was made and changed. A source without such times leaves them to the cluster.
func (v *verifier) stamps(f *findings, created, updated time.Time, createdHere, updatedHere iam.Time) {
	if !created.IsZero() {
		f.differ("created_at", iam.TimeOf(created) != createdHere)
	}
	if !updated.IsZero() {
		v.moves(f, "updated_at", updated, updatedHere)
	}
}

// networks are address ranges in one order and spelling. A lone address is the range that holds it alone.
func networks(all []string) []string {
	out := make([]string, 0, len(all))
	for _, text := range all {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			text = prefix.String()
		} else if address, err := netip.ParseAddr(text); err == nil {
			text = netip.PrefixFrom(address, address.BitLen()).String()
		}
		out = append(out, text)
	}
	return distinctNames(out)
}
