// Package token signs and verifies JWTs, keeps the set of keys and the plan by which they change, and
// makes the opaque refresh tokens.
//
// It exists so that everything that decides whether a token is genuine stands in one place; it is the
// only package that sees golang-jwt, and takes nothing but the signature algorithms from it. What
// must not go in: whether a genuine token was revoked, who may have one, and where keys are stored.
//
// # How keys change
//
// A key has no state that somebody must switch at the right moment. Its row holds times, and every
// node comes to the same answer by its own clock:
//
//   - publish: a new key is in the JWKS from the moment that its row exists, so that services which
//     keep a copy of the JWKS fetch it before they see a token signed with it;
//   - wait: its SignFrom is [PublishWait] away, see [PlanRotation];
//   - sign: from then on it is the key with the latest SignFrom, and signs;
//   - retire: the command that adds the key gives all older ones VerifyUntil = its SignFrom +
//     [iam.MaxTokenLifetime], when the last token that they signed has expired.
package token
