package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// info is the content of the file that --info names.
type info struct {
	URL      string `json:"url"`
	User     string `json:"user"`
	Password string `json:"password"`
	// Kubeconfig is the administrator's, where there is a cluster.
	Kubeconfig string        `json:"kubeconfig,omitempty"`
	Projects   []infoProject `json:"projects"`
}

type infoProject struct {
	Name         string            `json:"name"`
	Environments []infoEnvironment `json:"environments"`
}

type infoEnvironment struct {
	Name  string `json:"name"`
	URL   string `json:"url"`
	Token string `json:"token"`
}

// writeInfo writes the file in one step, readable by its owner alone because it holds tokens and a password.
func (p *page) writeInfo(file string) (err error) {
	content := info{URL: p.url, User: userName, Password: p.password, Kubeconfig: p.kubeconfig}
	index := map[string]int{}
	for _, e := range p.entries {
		at, known := index[e.Project]
		if !known {
			at = len(content.Projects)
			index[e.Project] = at
			content.Projects = append(content.Projects, infoProject{Name: e.Project})
		}
		project := &content.Projects[at]
		project.Environments = append(project.Environments, infoEnvironment{Name: e.Environment, URL: e.URL, Token: e.Token})
	}
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot write the file of --info: %w", err)
		}
	}()
	// CreateTemp makes files with mode 0600.
	temp, err := os.CreateTemp(filepath.Dir(file), ".promgate-info-")
	if err != nil {
		return err
	}
	_, err = temp.Write(append(text, '\n'))
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), file)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
	}
	return err
}
