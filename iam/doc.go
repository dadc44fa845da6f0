// Package iam says what Keystone is about: people, clients, roles, scopes, sessions, keys and the
// rules that hold for them whatever stores, replicates or serves them.
//
// It imports the standard library only, so that every other room can speak its words. Nothing that
// knows HTTP, the disk, the network or a token format belongs here.
package iam
