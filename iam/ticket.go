package iam

import "time"

// TicketPurpose says what a ticket is for.
type TicketPurpose uint8

// The purposes.
const (
	ResetPassword TicketPurpose = 1 // sets a new password
	VerifyEmail   TicketPurpose = 2 // proves that an e-mail address is its user's
)

// How long tickets are good, and how many are issued to one user for one purpose within TicketWindow: a
// mailbox must not be flooded through us. No row may expire before its window is over.
const (
	ResetLifetime  = time.Hour
	VerifyLifetime = 24 * time.Hour
	TicketWindow   = time.Hour
	MaxTickets     = 5
)

// Lifetime is how long a ticket for that purpose is good.
func (p TicketPurpose) Lifetime() time.Duration {
	if p == ResetPassword {
		return ResetLifetime
	}
	return VerifyLifetime
}

// Ticket is a secret that was sent to somebody's mailbox and is good once. Only its digest is kept. A
// user has one for each purpose: a new one takes the place of the one before.
type Ticket struct {
	Purpose   TicketPurpose `cbor:"1,keyasint"`
	User      ID            `cbor:"2,keyasint"`
	Digest    []byte        `cbor:"3,keyasint"` // SHA-256 of the ticket
	Email     string        `cbor:"4,keyasint"` // to which it was sent: it is void when the user has another one
	ExpiresAt Time          `cbor:"5,keyasint"`
	Issued    []Time        `cbor:"6,keyasint,omitempty"` // when this one and those before it were, within the window
}
