package api

import "time"

// Problem is the body of every answer that is not a success.
type Problem struct {
	// Code is one of the words of the contract, such as invalid_grant; it never changes its meaning.
	Code string `json:"error"`
	// Description is a sentence for people.
	Description string    `json:"error_description"`
	Timestamp   time.Time `json:"timestamp"`
	Path        string    `json:"path,omitzero"` // absent where the request could not be read
	// RequestID finds the request in the server's log; it is the X-Request-ID of the answer.
	RequestID string `json:"request_id"`
	// Details says what is wrong with each field, for validation_error.
	Details []FieldProblem `json:"details,omitzero"`
	// RetryAfter is the number of seconds after which trying again may help.
	RetryAfter int64 `json:"retry_after,omitzero"`
	// LockedUntil is when the account can log in again, for account_locked.
	LockedUntil *time.Time `json:"locked_until,omitzero"`
}

// FieldProblem says what is wrong with one field of a request.
type FieldProblem struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Message is the answer of a call that has nothing else to say.
type Message struct {
	Message string `json:"message"`
}

// Effective is where something holds that was taken away. No node answers by the state before it: those
// that have not said that they know are not allowed to answer any more without asking.
type Effective struct {
	Index    uint64  `json:"index"`     // of the log, which every answer reflects from now on
	Nodes    string  `json:"nodes"`     // how many have said that they know, of how many, such as 3/3
	WaitedMs float64 `json:"waited_ms"` // milliseconds from the change until this was so
}
