// Package oauth is the OAuth 2 token pipeline without HTTP (RFC 6749, RFC 7009, RFC 7662): who the
// client is and how it is made, one file for each grant, and how tokens are taken back.
//
// Every grant goes through Service.Token, which authenticates the client first, so that a new grant
// cannot forget it. How a person proves who they are is login's business.
package oauth
