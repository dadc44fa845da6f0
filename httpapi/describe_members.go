package httpapi

import "github.com/keystone-auth/keystone/iam"

// Rules, examples and descriptions of members are found by Type.member, then by member alone. They are
// passed over where the member is of another kind, so that a name can mean different things.

var (
	uuid  = object{{"format", "uuid"}}
	email = object{{"format", "email"}, {"maxLength", 254}}
	count = object{{"minimum", 0}}
	rowID = object{}
)

// rules are what a schema says beyond the kind of a member; for a list, of its members.
var rules = map[string]object{
	// A row without a UUID is refused by itself, and the batch is not.
	"ImportScope.id": rowID, "ImportRole.id": rowID, "ImportUser.id": rowID, "ImportClient.id": rowID, "ImportSession.id": rowID, "ImportDeleted.id": rowID,
	"ImportNote.id": rowID, "ImportUser.email": {}, "on_conflict": {{"enum", []string{"skip", "rename", "fail"}}},
	"ImportNote.outcome": {{"enum", []string{"created", "updated", "unchanged", "deleted", "refused"}}},

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

	"Key.status":        {{"enum", []string{"published", "signing", "retired"}}},
	"AuditEvent.result": {{"enum", []string{iam.AuditSuccess, iam.AuditRefused}}},
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
	"description": "What it is for.", "Role.name": "editor", "user_count": 3, "RoleRequest.name": "editor", "PatchRoleRequest.name": "editor", "PatchScopeRequest.name": "read:reports",
	"ReplaceClientRequest.name": "Billing", "PatchClientRequest.name": "Billing",
	"allowed": true, "sequence": 1042,

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

	"Client.client_secret": leftOut{}, "User.locked_until": leftOut{}, "AuditEvent.count": leftOut{}, "AuditEvents.partial": leftOut{},
	"AuditCheckpoints.next": leftOut{}, "PasswordSet.temporary_password": leftOut{}, "Stats.active_users": 1150, "Stats.users": 1200,
	"Stats.clients": 12, "Stats.roles": 5, "Stats.scopes": 20, "Stats.sessions": 800, "Stats.revocations": 3, "Stats.keys": 2, "remembered_tokens": 640,
	"store_bytes": 8388608, "log_index": 1042, "uptime_seconds": 86400, "Key.kid": "k1", "Key.algorithm": "ES256", "Key.status": "signing",
	"AuditEvent.type": "user.created", "actor": sampleID, "target": sampleID, "AuditEvent.result": iam.AuditSuccess, "AuditEvent.reason": "",
	"hash":                      "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
	"previous_hash":             "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
	"AuditCheckpoint.key":       "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
	"AuditCheckpoint.signature": "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
	"AuthzVerdict.reason":       "granted_by_role", "AuthzCheck.subject": sampleID, "AuthzCheck.scope": "read:reports", "immediately": false,

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
	"sequence": "The number in the chain.", "hash": "The hash of the event.", "time": "When it happened.", "checkpoints": "The statements, the oldest first.",
	"events": "What happened.", "checks": "The questions.", "results": "The answers.", "allowed": "Whether it is.", "current_password": "The present password.",
	"new_password": "The password to be.", "client_type": "Whether the client can keep a secret.", "clients": "The clients.", "users": "The users.",
	"keys": "The keys.", "nodes": "The nodes.", "cluster_id": "The id of the cluster.", "leader": "The name of the leader; empty when none is known.",
	"term": "The Raft term.", "version": "The version of the program.", "node": "The node that was asked.", "applied_index": "The log index that the node's state reflects.",
	"state_hash_index": "The log index at which the hash was taken.", "http": "The address of the API, with https:// in front where it speaks TLS.",
	"token_type": "How the token is sent.", "exp": "When the token ends, in seconds since 1970.", "iat": "When the token was made, in seconds since 1970.",
	"nbf": "From when the token is good, in seconds since 1970.", "sub": "Whom the token is about: the id of a user, or a client_id.", "aud": "For whom the token is.",
	"iss": "Who made the token.", "sid": "The id of the session.", "session_id": "The id of the session.", "sessions": "The sessions.", "kid": "The id of the key.",
	"algorithm": "The algorithm of its signatures.", "created": "When it was made.", "sign_from": "When it begins to sign.", "all_sessions": "Whether all sessions of the person are to end.",
	"issuer": "What tokens have as iss.", "token_endpoint": "Where tokens are obtained.", "revocation_endpoint": "Where tokens are revoked.",
	"introspection_endpoint": "Where tokens are asked about.", "jwks_uri": "Where the public keys are.", "grant_types_supported": "The grants that the token endpoint takes.",
	"response_types_supported":                      "None: there is no authorization endpoint.",
	"token_endpoint_auth_methods_supported":         "How clients authenticate to the token endpoint.",
	"revocation_endpoint_auth_methods_supported":    "How clients authenticate to the revocation endpoint.",
	"introspection_endpoint_auth_methods_supported": "How clients authenticate to the introspection endpoint.",
	"active_users": "Users that are not disabled.", "revocations": "What is revoked and has not expired.", "uptime_seconds": "Seconds since this node was started.",
	"timestamp": "When it was refused.", "field": "The member of the request.", "grant_type": "The grant.", "active": "Whether the token is good.",
}

// refusalSamples are the sentences of the examples of refusals.
var refusalSamples = map[iam.Code]string{
	iam.ValidationError: "The request breaks rules.", iam.InvalidRequest: "The body is not valid JSON in UTF-8.",
	iam.UnsupportedGrantType: "This path takes the grant type password alone.", iam.InvalidScope: "None of the scopes that were asked for is held.",
	iam.InvalidTarget: "The audience is not one of the client's.", iam.InvalidGrant: "The credentials are not good.",
	iam.InvalidClient: "The client's credentials are not good.", iam.Unauthorized: "An access token is needed: log in and send it as a bearer token in the Authorization header.",
	iam.InvalidToken: "The access token is not good, or not any more.", iam.InsufficientScope: "The token does not hold the scope that this call needs.",
	iam.Forbidden: "This is not for the caller.", iam.AccountDisabled: "The account is disabled.", iam.PasswordExpired: "The password is too old: set a new one by a password reset.", iam.ClientDisabled: "The client is disabled.",
	iam.NotFound: "There is no such thing.", iam.Conflict: "That is taken.", iam.PreconditionFailed: "It was changed meanwhile: read it again.",
	iam.PayloadTooLarge: "The body is larger than the 1 MiB that is allowed.", iam.UnsupportedMediaType: "The body must be application/json.",
	iam.AccountLocked: "The account is locked after too many failures.", iam.RateLimitExceeded: "Too many requests: at most 5 are allowed in 1m0s.",
	iam.InternalError:          "The server met an error that it did not expect. The request_id finds it in the server's log.",
	iam.TemporarilyUnavailable: "There is no leader that could make the change now.",
}
