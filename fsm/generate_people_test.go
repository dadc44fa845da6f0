package fsm

import (
	"pgregory.net/rapid"

	"github.com/keystone-auth/keystone/iam"
)

func (h *hints) newPassword(t *rapid.T, user iam.ID) NewPassword {
	was := h.hash(t, user)
	hash := one(t, "new hash", []string{"h1", "h1", "h2", "h3"})
	if hash == was {
		hash = "h4"
	}
	h.users[user] = hash
	return NewPassword{Hash: hash, Was: was, Remember: between(t, "remember", 0, 3)}
}

// hash draws the one that the user may have.
func (h *hints) hash(t *rapid.T, user iam.ID) string {
	if was := h.users[user]; was != "" && mostly(t, "present hash") {
		return was
	}
	return genHash(t)
}

func genChangePassword(t *rapid.T, h *hints) Command {
	user := genID(t, 'u', 3)
	return &ChangePassword{ID: user, New: h.newPassword(t, user), Keep: h.session(t).ID}
}

func genSetPassword(t *rapid.T, h *hints) Command {
	user := genID(t, 'u', 3)
	return &SetPassword{ID: user, New: h.newPassword(t, user)}
}

// genTicket draws one of few digests, so that tickets are issued twice, redeemed and redeemed again.
func genTicket(t *rapid.T) []byte { return digest(20_000 + between(t, "ticket", 1, 5)) }

func genPurpose(t *rapid.T) iam.TicketPurpose {
	return one(t, "purpose", []iam.TicketPurpose{iam.ResetPassword, iam.VerifyEmail})
}

func genIssueTicket(t *rapid.T, h *hints) Command {
	user := h.latest(t, h.people, []iam.ID{ann, bob})
	email := one(t, "email", [][]string{{"a@x", "A@X"}, {"b@x", "B@x"}, {"c@x", "d@x"}}[user[15]-1])
	c := &IssueTicket{Purpose: genPurpose(t), User: user, Digest: digest(20_010 + len(h.tickets)), Email: email}
	if !mostly(t, "fresh digest") {
		c.Digest = genTicket(t)
	}
	h.tickets = append(h.tickets, c)
	return c
}

// ticket draws one that may be good for that purpose.
func (h *hints) ticket(t *rapid.T, purpose iam.TicketPurpose) (digest []byte, user iam.ID) {
	for i := len(h.tickets) - 1; i >= 0 && mostly(t, "issued"); i-- {
		if h.tickets[i].Purpose == purpose {
			return h.tickets[i].Digest, h.tickets[i].User
		}
	}
	return genTicket(t), genID(t, 'u', 3)
}

func genResetPassword(t *rapid.T, h *hints) Command {
	digest, user := h.ticket(t, iam.ResetPassword)
	return &ResetPassword{Digest: digest, User: user, New: h.newPassword(t, user)}
}

func genConfirmEmail(t *rapid.T, h *hints) Command {
	digest, user := h.ticket(t, iam.VerifyEmail)
	return &ConfirmEmail{Digest: digest, User: user}
}

// genLegacyID draws one of the few ids that refresh tokens of another system have here.
func genLegacyID(t *rapid.T) iam.ID { return genID(t, 'l', 3) }

func genRedeemLegacy(t *rapid.T, h *hints) Command {
	started := genStartSession(t, h).(*StartSession)
	if len(h.legacy) > 0 && mostly(t, "imported") {
		old := h.legacy[len(h.legacy)-1]
		started.Session.UserID, started.Session.ClientID = old.UserID, ""
		return &RedeemLegacy{ID: old.ID, TokenHash: old.TokenHash, Session: started.Session}
	}
	return &RedeemLegacy{ID: genLegacyID(t), TokenHash: one(t, "hash", []string{"token", "token", "token", "other"}), Session: started.Session}
}

func genEndLegacy(t *rapid.T, _ *hints) Command {
	c := &EndLegacy{User: genID(t, 'u', 3), ID: genLegacyID(t)}
	if rapid.Bool().Draw(t, "all") {
		c.ID, c.Jti = iam.ID{}, genJti(t)
	}
	return c
}
