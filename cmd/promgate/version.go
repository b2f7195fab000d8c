package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker: -ldflags "-X main.version=1.2.3".
var version string

// build tells what this binary was made from: version, and the commit where
// the build knew it.
func build() (name, revision string) {
	name, revision = version, "unknown"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", revision
	}
	if name == "" {
		name = info.Main.Version
	}
	if name == "" || name == "(devel)" {
		name = "devel"
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			revision += " (modified)"
		}
	}
	return name, revision
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) {
			name, revision := build()
			fmt.Fprintf(c.OutOrStdout(), "promgate %s\nrevision %s\n%s %s/%s\n", name, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	}
}
