package main

import (
	"fmt"
	"runtime/debug"
)

type versionCmd struct{}

// Run prints the module's version and the revision that it was built from.
func (versionCmd) Run(r *runner) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		_, err := fmt.Fprintln(r.out, "mohar, built without version")
		return err
	}
	revision := ""
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = " " + s.Value
		}
	}
	_, err := fmt.Fprintf(r.out, "mohar %s%s, %s\n", info.Main.Version, revision, info.GoVersion)
	return err
}
