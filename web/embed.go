// Package web holds the built web pages.
//
// Owns:      the folder dist, which `npm ci && npm run build` fills; nothing of it is committed but a placeholder.
// Trusts:    the build.
// May touch: nothing; it hands out bytes that were compiled in.
// Standards: none; what the pages need of the server's headers stands in README.md beside this file.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files gives the built pages, rooted at dist: "index.html", "assets/...",
// "mailframe.html". Before a build it is empty but for ".keep".
func Files() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil { // "dist" is a valid path by construction; an empty tree is the honest answer
		return embed.FS{}
	}
	return sub
}

// Built tells whether the pages were built before this binary was compiled.
func Built() bool {
	_, err := fs.Stat(dist, "dist/index.html")
	return err == nil
}
