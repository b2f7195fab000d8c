package main

import (
	"crypto/rand"
	"fmt"
	"path/filepath"

	"github.com/promgate/promgate/auth/local"
)

// userName is who signs in to the demonstration's page.
const userName = "demo"

// addUser makes the users file, with one user who is a maintainer of every project, and returns the password.
func (c *gatewayConfig) addUser(dir string, environments []*environment) (password string, err error) {
	password = rand.Text()
	hash, err := local.Hash(password)
	if err != nil {
		return "", err
	}
	c.SignIn.UsersFile = filepath.Join(dir, "users.yaml")
	if err := local.Add(c.SignIn.UsersFile, local.User{Name: userName}, hash); err != nil {
		return "", fmt.Errorf("cannot make the users file: %w", err)
	}
	for _, e := range environments {
		p := c.project(e.Project)
		p.Members = []memberConfig{{User: userName, Role: "maintainer"}}
	}
	return password, nil
}
