package httpapi

import "github.com/keystone-auth/keystone/iam"

// Rules, examples and descriptions of members are found by Type.member, then by member alone. They are
// passed over where the member is of another kind, so that a name can mean different things.

var (
	uuid  = object{{"format", "uuid"}}
	email = object{{"format", "email"}, {"maxLength", 254}}
	count = object{{"minimum", 0}}
)

// rules are what a schema says beyond the kind of a member; for a list, of its members.
var rules = map[string]object{
	"id": uuid, "session_id": uuid, "request_id": {{"maxLength", 64}}, "email": email,

	"User.username": {{"minLength", 3}, {"maxLength", 50}}, "RegisterRequest.username": username, "CreateUserRequest.username": username,
	"RegisterRequest.password": newPassword, "CreateUserRequest.password": newPassword, "new_password": newPassword,
	"password": secretText, "current_password": secretText, "client_secret": secretText,

	"TokenRequest.grant_type":        {{"enum", []string{"password"}}},
	"RefreshRequest.grant_type":      {{"enum", []string{"refresh_token"}}},
	"ServiceTokenRequest.grant_type": {{"enum", []string{"client_credentials"}}},
	"GrantRequest.grant_type":        {{"enum", []string{"password", "refresh_token", "client_credentials"}}},
	"TokenResponse.token_type":       {{"const", "Bearer"}},
	"Introspection.token_type":       {{"const", "Bearer"}},
	"token_type_hint":                {{"examples", []any{"access_token", "refresh_token"}}},
	"expires_in":                     count, "exp": count, "iat": count, "nbf": count, "sessions_terminated": count,

	"client_type":           {{"enum", []string{"confidential", "public"}}},
	"access_token_lifetime": count, "refresh_token_lifetime": count, "rate_limit_per_minute": count, "rate_limit_per_hour": count, "total_requests": count,
	"CreateClientRequest.access_token_lifetime": {{"minimum", 0}, {"maximum", 86400}},
	"grace_seconds": count, "user_count": count,

	"total": count, "page": {{"minimum", 1}}, "per_page": {{"minimum", 1}, {"maximum", 100}}, "pages": count,

	"Health.status": {{"enum", []string{"healthy", "unhealthy"}}},
	"Health.role":   roleOfNode, "Node.role": roleOfNode,
	"Node.state":  {{"enum", []string{"alive", "dead", "unknown"}}},
	"Live.status": {{"const", "alive"}},
}

var (
	username    = object{{"pattern", "^[A-Za-z0-9._-]{3,50}$"}}
	newPassword = object{{"format", "password"}, {"minLength", 1}}
	secretText  = object{{"format", "password"}}
	roleOfNode  = object{{"enum", []string{"", "leader", "follower", "candidate", "nonvoter", "forming"}}}
)

// samples are example values.
var samples = map[string]any{ //nolint:gosec // they are made up
	"id": sampleID, "session_id": sampleID, "jti": sampleID, "request_id": sampleID, "username": "alice", "email": "alice@example.com",
	"password": "Correct-horse-7", "current_password": "Correct-horse-7", "new_password": "Other-zebra-21",
	"first_name": "Alice", "last_name": "Liddell", "display_name": "Alice", "full_name": "Alice Liddell", "bio": "Fond of rabbits.",
	"is_active": true, "is_verified": true, "is_superuser": false, "is_trusted": false, "is_locked": false, "current": true,
	"roles": []string{"user"}, "scopes": []string{"read:profile", "write:profile"}, "ip_address": "203.0.113.7",
	"user_agent": "Mozilla/5.0", "token": "ksr_0Zr3Nq8u", "scope": "read:profile", "subject": "alice",

	"client_id": "billing", "client_secret": "ksc_5f0c9a", "Client.name": "Billing", "CreateClientRequest.name": "Billing", "client_type": "confidential",
	"Client.scopes": []string{"read:reports"}, "CreateClientRequest.scopes": []string{"read:reports"},
	"audiences": []string{"https://reports.example"}, "access_token_lifetime": 900, "refresh_token_lifetime": 2592000,
	"rate_limit_per_minute": 600, "rate_limit_per_hour": 10000, "allowed_ips": []string{"10.0.0.0/8", "2001:db8::/32"},
	"contact_email": "billing@example.com", "website_url": "https://billing.example", "webhook_url": "https://billing.example/hook",
	"total_requests": 12345, "grace_seconds": 3600,

	"Scope.name": "read:reports", "CreateScopeRequest.name": "read:reports", "resource": "reports", "action": "read",
	"description": "What it is for.", "Role.name": "editor", "CreateRoleRequest.name": "editor", "user_count": 3,
	"allowed": true, "reason": "Held through a role.", "kid": "k1", "alg": "ES256", "sequence": 1042,

	"message": "Done.", "sessions_terminated": 1, "total": 1, "page": 1, "per_page": 20, "pages": 1, "next_cursor": nil,
	"status": "healthy", "Live.status": "alive", "version": "v1.0.0", "node": "node-1", "name": "node-1", "role": "leader", "leader": "node-1",
	"applied_index": 1042, "cluster_id": sampleID, "term": 3, "address": "10.0.0.7:7400", "http": "10.0.0.7:8000", "state": "alive", "lag": 0,
	"state_hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "state_hash_index": 1000, "agrees": true,

	"issuer": "keystone-auth", "token_endpoint": "https://auth.example/oauth2/token", "revocation_endpoint": "https://auth.example/oauth2/revoke",
	"introspection_endpoint": "https://auth.example/oauth2/introspect", "jwks_uri": "https://auth.example/.well-known/jwks.json",
	"grant_types_supported": []string{"password", "refresh_token", "client_credentials"}, "response_types_supported": []string{},
	"token_endpoint_auth_methods_supported":         []string{"client_secret_basic", "client_secret_post", "none"},
	"revocation_endpoint_auth_methods_supported":    []string{"client_secret_basic", "client_secret_post", "none"},
	"introspection_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},

	"error": "not_found", "error_description": "There is no such user.", "path": "/api/v1/users/me", "field": "email", "retry_after": 12,
}

// commonDoc says what members are, wherever their own comment does not.
var commonDoc = map[string]string{ //nolint:gosec // words about secrets
	"id": "The id, which never changes.", "username": "The name to log in with.", "email": "The e-mail address.", "password": "The password.",
	"first_name": "The given name.", "last_name": "The family name.", "display_name": "The name to be shown.", "full_name": "Given and family name.",
	"bio": "A few words about the person.", "is_active": "Whether it can be used to log in or obtain tokens.", "is_verified": "Whether the e-mail address is proved.",
	"is_superuser": "Whether the person holds every scope.", "created_at": "When it was made.", "updated_at": "When it was last changed.",
	"last_activity": "When it was last used.", "expires_at": "When it ends by itself.", "ip_address": "Where the login came from.", "user_agent": "What the login came from.",
	"name": "The name.", "description": "What it is for.", "is_trusted": "Whether it may ask about others than itself.", "client_id": "The name by which the client authenticates.",
	"client_secret": "The secret by which the client authenticates.", "scope": "Scopes, separated by spaces.", "scopes": "Names of scopes.", "roles": "Names of roles.",
	"audiences": "For whom the client's tokens may be.", "audience": "For whom the token is to be, out of the client's list.", "allowed_ips": "Ranges from which the client may authenticate; empty: everywhere.",
	"contact_email": "Whom to write to about it.", "website_url": "Where to read about it.", "webhook_url": "Where it can be told things.",
	"access_token_lifetime": "Seconds for which an access token is good; 0: the cluster's setting.", "refresh_token_lifetime": "Seconds for which a refresh token is good; 0: the cluster's setting.",
	"rate_limit_per_minute": "Requests in a minute; 0: no limit of its own.", "rate_limit_per_hour": "Requests in an hour; 0: no limit of its own.",
	"last_used": "When it last obtained a token; null: never.", "total_requests": "How many tokens it was given.", "resource": "What it is about.", "action": "What it allows to do with that.",
	"access_token": "The token to send in the Authorization header.", "refresh_token": "The token that is exchanged for new ones, once.", "jti": "The id of the access token.",
	"token": "An access token or a refresh token.", "message": "A sentence for people.", "sessions_terminated": "How many sessions were ended.",
	"total": "How many there are in all.", "page": "Which page this is.", "per_page": "How many on a page.", "pages": "How many pages.",
	"timestamp": "When it was refused.", "field": "The member of the request.", "grant_type": "The grant.", "active": "Whether the token is good.",
}

// refusalSamples are the sentences of the examples of refusals.
var refusalSamples = map[iam.Code]string{
	iam.ValidationError: "The request breaks rules.", iam.InvalidRequest: "The body is not valid JSON in UTF-8.",
	iam.UnsupportedGrantType: "This path takes the grant type password alone.", iam.InvalidScope: "None of the scopes that were asked for is held.",
	iam.InvalidTarget: "The audience is not one of the client's.", iam.InvalidGrant: "The credentials are not good.",
	iam.InvalidClient: "The client's credentials are not good.", iam.Unauthorized: "An access token is needed: log in and send it as a bearer token in the Authorization header.",
	iam.InvalidToken: "The access token is not good, or not any more.", iam.InsufficientScope: "The token does not hold the scope that this call needs.",
	iam.Forbidden: "This is not for the caller.", iam.AccountDisabled: "The account is disabled.", iam.ClientDisabled: "The client is disabled.",
	iam.NotFound: "There is no such thing.", iam.Conflict: "That is taken.", iam.PreconditionFailed: "It was changed meanwhile: read it again.",
	iam.PayloadTooLarge: "The body is larger than the 1 MiB that is allowed.", iam.UnsupportedMediaType: "The body must be application/json.",
	iam.AccountLocked: "The account is locked after too many failures.", iam.RateLimitExceeded: "Too many requests: at most 5 are allowed in 1m0s.",
	iam.InternalError:          "The server met an error that it did not expect. The request_id finds it in the server's log.",
	iam.TemporarilyUnavailable: "There is no leader that could make the change now.",
}
