package api

// AuthzCheck asks whether somebody may do something.
type AuthzCheck struct {
	Subject string `json:"subject"` // the id of a user, or a client_id: what tokens have as sub
	Scope   string `json:"scope"`
}

// AuthzVerdict is the answer.
type AuthzVerdict struct {
	Allowed bool `json:"allowed"`
	// Reason is granted_by_role, granted_to_client, superuser, not_held, disabled or unknown_subject.
	Reason string   `json:"reason"`
	Roles  []string `json:"roles"` // names of those that grant it
}

// AuthzBulkRequest asks up to 1000 questions at once.
type AuthzBulkRequest struct {
	Checks []AuthzCheck `json:"checks,omitzero"`
}

// AuthzBulkResponse holds the answers in the order of the questions.
type AuthzBulkResponse struct {
	Results []AuthzVerdict `json:"results"`
}
