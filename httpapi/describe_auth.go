package httpapi

import (
	"reflect"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

// Examples that several calls share.
var (
	tokenAnswer = sample{"user", "For a person", object{
		{"access_token", "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6Ii4uLiJ9.eyJpc3MiOiIuLi4ifQ.c2ln"},
		{"refresh_token", "ksr_0Zr3Nq8u"},
		{"token_type", "Bearer"},
		{"expires_in", 900},
		{"scope", "read:profile write:profile"},
		{"jti", sampleID},
		{"session_id", sampleID},
	}}
	serviceAnswer = sample{"service", "For a program, without a refresh token", object{
		{"access_token", "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6Ii4uLiJ9.eyJpc3MiOiIuLi4ifQ.c2ln"},
		{"token_type", "Bearer"},
		{"expires_in", 900},
		{"scope", "read:reports"},
		{"jti", sampleID},
	}}
	introspectionAnswers = []sample{
		{"active", "A good token of a person", object{
			{"active", true},
			{"scope", "read:profile"},
			{"client_id", "web"},
			{"username", "alice"},
			{"token_type", "Bearer"},
			{"exp", 1796118300},
			{"iat", 1796117400},
			{"nbf", 1796117400},
			{"sub", sampleID},
			{"aud", "keystone-auth"},
			{"iss", "keystone-auth"},
			{"jti", sampleID},
			{"roles", []string{"user"}},
			{"sid", sampleID},
		}},
		{"inactive", "Expired, revoked, unknown, or no token at all", object{{"active", false}}},
	}
	aboutToken = []sample{
		{"alone", "With a token or Basic in the Authorization header", object{{"token", "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"}}},
		{"client", "With client credentials in the body", object{{"token", "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"}, {"client_id", "billing"}, {"client_secret", "ksc_5f0c9a"}}},
	}
)

const clientCredentials = "The caller authenticates with an access token, or with client credentials by HTTP Basic or in the body."

var describedAuth = map[string]described{
	"POST /api/v1/auth/token": {
		tag: "Authentication", summary: "Log a person in", id: "login", success: "The tokens of a new session.",
		text:   "`username` is the name or the e-mail address, in any letter case. A wrong password and an unknown user cannot be told apart; only who has the right password learns that the account is disabled or locked.",
		fails:  []iam.Code{iam.AccountDisabled, iam.AccountLocked, iam.PasswordExpired},
		bodies: []sample{{"password", "Name and password", object{{"username", "alice"}, {"password", "Correct-horse-7"}}}}, answers: []sample{tokenAnswer},
	},
	"POST /api/v1/auth/refresh": {
		tag: "Authentication", summary: "Exchange a refresh token for new tokens", success: "New tokens of the same session.",
		text:   "A refresh token is good once. Presented again within ten seconds it gets the same answer, for who lost that; later, or when an older one is presented, its session ends. In the compatible mode a refresh token that the old system issued, and an import brought, is good once and becomes a session of its own.",
		fails:  []iam.Code{iam.AccountDisabled, iam.AccountLocked, iam.PasswordExpired},
		bodies: []sample{{"refresh", "The token alone", object{{"refresh_token", "ksr_0Zr3Nq8u"}}}}, answers: []sample{tokenAnswer},
	},
	"POST /api/v1/auth/service-token": {
		tag: "Authentication", summary: "Obtain a token for a program", success: "A token of the client itself.",
		text:   "For confidential clients, with their credentials by HTTP Basic or in the body. What is asked for beyond the client's scopes is left out.",
		fails:  []iam.Code{iam.InvalidTarget},
		bodies: []sample{{"credentials", "Credentials in the body", object{{"client_id", "billing"}, {"client_secret", "ksc_5f0c9a"}, {"scope", "read:reports"}, {"audience", "https://reports.example"}}}}, answers: []sample{serviceAnswer},
	},
	"POST /api/v1/auth/revoke": {
		tag: "Authentication", summary: "Make a token dead", success: "The token is not good any more, if it ever was.",
		text:   clientCredentials + " The answer is the same for what is no token. Others' tokens stay good unless the caller holds `admin:tokens`. A refresh token takes its session along.",
		bodies: aboutToken, answers: []sample{{"answer", "Always the same", object{{"message", "Token revoked successfully"}}}},
	},
	"POST /api/v1/auth/introspect": {
		tag: "Authentication", summary: "Ask about a token", success: "What the token says (RFC 7662), or that it is not active and no more.",
		text:    clientCredentials + " A person's token must hold `admin:tokens`.",
		request: reflect.TypeFor[api.IntrospectRequest](), response: reflect.TypeFor[api.Introspection](),
		bodies: aboutToken, answers: introspectionAnswers, fails: []iam.Code{iam.RateLimitExceeded},
	},
	"POST /api/v1/auth/logout": {
		tag: "Authentication", summary: "Log out", success: "The session's access and refresh tokens are dead.",
		text:   "Ends the session of the token, or all sessions of its person.",
		bodies: []sample{{"one", "This session", object{}}, {"all", "All sessions", object{{"all_sessions", true}}}},
	},

	"POST /oauth2/token": {
		tag: "OAuth 2.0", summary: "Obtain tokens by any grant", id: "oauthToken", success: "The tokens.",
		text:  "The token endpoint of RFC 6749, with the grants `password`, `refresh_token` and `client_credentials`.",
		fails: []iam.Code{iam.AccountDisabled, iam.AccountLocked, iam.PasswordExpired, iam.InvalidTarget},
		bodies: []sample{
			{"password", "A person", object{{"grant_type", "password"}, {"username", "alice"}, {"password", "Correct-horse-7"}, {"scope", "read:profile"}}},
			{"refresh_token", "New tokens for a refresh token", object{{"grant_type", "refresh_token"}, {"refresh_token", "ksr_0Zr3Nq8u"}}},
			{"client_credentials", "A program", object{{"grant_type", "client_credentials"}, {"client_id", "billing"}, {"client_secret", "ksc_5f0c9a"}}},
		},
		answers: []sample{tokenAnswer, serviceAnswer},
	},
	"POST /oauth2/introspect": {
		tag: "OAuth 2.0", summary: "Ask about a token by RFC 7662", id: "oauthIntrospect", success: "What the token says, or that it is not active and no more.",
		text:    clientCredentials + " A person's token must hold `admin:tokens`.",
		request: reflect.TypeFor[api.IntrospectRequest](), response: reflect.TypeFor[api.Introspection](),
		bodies: aboutToken, answers: introspectionAnswers,
	},
	"POST /oauth2/revoke": {
		tag: "OAuth 2.0", summary: "Make a token dead by RFC 7009", id: "oauthRevoke", success: "The token is not good any more, if it ever was.",
		text: clientCredentials, bodies: aboutToken, answers: []sample{{"answer", "Always the same", object{{"message", "Token revoked successfully"}}}},
	},
	"GET /.well-known/jwks.json": {
		tag: "OAuth 2.0", summary: "Read the public keys", success: "The keys that verify tokens (RFC 7517). It may be kept for a minute.",
		media: "application/jwk-set+json", schema: jwksSchema,
		answers: []sample{{"es256", "One key", object{{"keys", []any{object{
			{"kty", "EC"},
			{"use", "sig"},
			{"alg", "ES256"},
			{"kid", "k1"},
			{"crv", "P-256"},
			{"x", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"},
			{"y", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
		}}}}}},
	},
	"GET /.well-known/oauth-authorization-server": {
		tag: "OAuth 2.0", summary: "Read where everything is", success: "The metadata of RFC 8414.",
		fails: []iam.Code{iam.InvalidRequest},
	},
}

// jwksSchema is that of a key set; which members a key has depends on its kind.
var jwksSchema = object{
	{"type", "object"},
	{"required", []string{"keys"}},
	{"properties", object{{"keys", object{{"type", "array"}, {"items", object{
		{"type", "object"},
		{"required", []string{"kty", "kid", "alg", "use"}},
		{"properties", object{
			{"kty", object{{"type", "string"}, {"enum", []string{"EC", "OKP", "RSA"}}}},
			{"use", object{{"type", "string"}, {"const", "sig"}}},
			{"alg", object{{"type", "string"}}},
			{"kid", object{{"type", "string"}}},
			{"crv", object{{"type", "string"}}},
			{"x", object{{"type", "string"}}},
			{"y", object{{"type", "string"}}},
			{"n", object{{"type", "string"}}},
			{"e", object{{"type", "string"}}},
		}},
	}}}}}},
}
