// Package web holds what browsers load: files that are embedded in the program, so that a node serves
// its pages without asking anybody else for anything.
//
// It knows nothing of HTTP; httpapi serves the files. What must not go in: anything that is fetched when
// a page is opened, and code of ours beside the pages.
package web

import "embed"

// Docs holds the two viewers of the OpenAPI document and their licences, each file compressed by gzip.
// docs/update.sh fetches them.
//
//go:embed docs/*.gz
var Docs embed.FS
