// Package crd holds the definitions of the kinds that this folder installs, for programs that start a cluster of their own.
package crd

import (
	"bytes"
	"embed"
	"fmt"
)

//go:embed persesfolders.yaml perses/perses*.yaml
var files embed.FS

// Folders defines the kind PersesFolder.
func Folders() []byte { return read("persesfolders.yaml") }

// Perses defines Perses' own kinds, as they are for clusters without perses-operator.
func Perses() []byte {
	return read("perses/persesdashboards.yaml", "perses/persesdatasources.yaml", "perses/persesglobaldatasources.yaml")
}

// read puts files that the program holds into one YAML text.
func read(names ...string) []byte {
	var texts [][]byte
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			panic(fmt.Sprintf("crd: the program was built without %s: %v", name, err))
		}
		texts = append(texts, text)
	}
	return bytes.Join(texts, []byte("\n---\n"))
}
