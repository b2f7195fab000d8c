package config

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/promgate/promgate/auth/local"
	"github.com/promgate/promgate/routing/file"
)

// SignIn are the ways in which people sign in to the page.
type SignIn struct {
	UsersFile   string        `yaml:"usersFile,omitempty" type:"path" doc:"YAML file of users and password hashes; promgate user edits it. Read again when it changes."`
	OIDC        *OIDC         `yaml:"oidc,omitempty" doc:"Sign-in at an OpenID Connect provider. Register externalURL + /api/v1/session/oidc/callback there as redirect URI."`
	Kubernetes  bool          `yaml:"kubernetes" default:"false" doc:"Sign-in with a Kubernetes token that is pasted, on clusters that accept tokens of users: those with audiences or with credentials: user."`
	IdleTimeout time.Duration `yaml:"idleTimeout" default:"8h" doc:"A session ends that is not used for so long."`
	Lifetime    time.Duration `yaml:"lifetime" default:"24h" doc:"A session ends that long after the sign-in."`
}

// OIDC is an OpenID Connect provider.
type OIDC struct {
	Name             string        `yaml:"name" default:"OpenID Connect" doc:"What people call the provider, as it stands on the button."`
	Issuer           string        `yaml:"issuer" required:"true" type:"URL" doc:"Issuer, exactly as the provider writes it."`
	ClientID         string        `yaml:"clientID" required:"true" doc:"Client id that the provider knows the gateway by."`
	ClientSecretFile string        `yaml:"clientSecretFile,omitempty" type:"path" doc:"File with the client's secret. Without it the client is a public one, with PKCE alone. Read again when it changes."`
	CAFile           string        `yaml:"caFile,omitempty" type:"path" doc:"PEM file of the certificate authorities of the provider, in place of the system's."`
	Scopes           []string      `yaml:"scopes,omitempty" doc:"Scopes to ask for beside openid, and offline_access where the provider has it. Without it profile, email and groups."`
	Prompt           string        `yaml:"prompt,omitempty" doc:"Parameter prompt of the sign-in, such as consent, which some providers want before they let the gateway ask again later."`
	UsernameClaim    string        `yaml:"usernameClaim" default:"email" doc:"Claim that names the user. With email, email_verified must not be false."`
	GroupsClaim      string        `yaml:"groupsClaim" default:"groups" doc:"Claim with the user's groups."`
	RefreshInterval  time.Duration `yaml:"refreshInterval" default:"5m" doc:"After so long the provider is asked again who somebody is: who was disabled there is out by then."`
}

// defaultScopes are asked for where the file names none.
var defaultScopes = []string{"profile", "email", "groups"}

// On tells whether anybody can sign in.
func (s *SignIn) On() bool { return s.UsersFile != "" || s.OIDC != nil || s.Kubernetes }

func (s *SignIn) references() []file.Reference {
	at := file.Path{"signIn"}
	var refs []file.Reference
	add := func(at file.Path, kind file.Kind, path string) {
		if path != "" {
			refs = append(refs, file.Reference{At: at, Kind: kind, File: path})
		}
	}
	add(at.With("usersFile"), kindUsers, s.UsersFile)
	if o := s.OIDC; o != nil {
		add(at.With("oidc", "clientSecretFile"), file.KindSecret, o.ClientSecretFile)
		add(at.With("oidc", "caFile"), file.KindCA, o.CAFile)
	}
	return refs
}

// kindUsers is a users file.
const kindUsers file.Kind = "users"

func checkUsers(path string) error {
	_, err := local.Load(path)
	return err
}

func (c *Config) validateSignIn(report file.Report) {
	s, at := &c.SignIn, file.Path{"signIn"}
	if !s.On() {
		return
	}
	if !isSecureContext(c.BaseURL()) {
		report(at, "browsers keep a session only over https: give the gateway a certificate with listenTLS, or, where a proxy has it, write externalURL with https://")
	}
	if s.IdleTimeout <= 0 {
		report(at.With("idleTimeout"), "a session needs some time; write one such as 8h, or remove the key for the default")
	}
	if s.Lifetime < s.IdleTimeout {
		report(at.With("lifetime"), "lifetime (%v) is shorter than idleTimeout (%v), which would never be reached; lengthen it, or shorten idleTimeout", s.Lifetime, s.IdleTimeout)
	}
	if s.Kubernetes && !slices.ContainsFunc(c.Clusters, func(k file.Cluster) bool { return k.Credentials == "user" || len(k.Audiences) > 0 }) {
		report(at.With("kubernetes"), "no cluster accepts tokens of users; write audiences or credentials: user for one of clusters, or remove kubernetes")
	}
	if s.OIDC != nil {
		s.OIDC.validate(at.With("oidc"), report)
	}
}

func (o *OIDC) validate(at file.Path, report file.Report) {
	u, err := url.Parse(o.Issuer)
	switch {
	case o.Issuer == "":
		report(at.With("issuer"), "oidc has no issuer; write the provider's issuer URL, such as https://login.example")
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http":
		report(at.With("issuer"), "the issuer is no URL of a provider; write scheme, host and path, such as https://login.example/realms/main")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		report(at.With("issuer"), "over plain http anybody on the way could sign in as anybody; write an issuer with https://")
	}
	if o.ClientID == "" {
		report(at.With("clientID"), "oidc has no clientID; write the id that the provider knows the gateway by")
	}
	for _, claim := range []struct{ key, value string }{{"usernameClaim", o.UsernameClaim}, {"groupsClaim", o.GroupsClaim}} {
		if strings.TrimSpace(claim.value) == "" {
			report(at.With(claim.key), "%s is empty; write a claim, or remove the key for the default", claim.key)
		}
	}
	for i, scope := range o.Scopes {
		if scope == "" || strings.ContainsAny(scope, " \t\n\"\\") {
			report(at.With("scopes", i), "a scope is one word; write each as an entry of its own")
		}
	}
	if strings.Trim(o.Prompt, "abcdefghijklmnopqrstuvwxyz_ ") != "" {
		report(at.With("prompt"), "%q is no prompt; write a word such as consent or login, or remove the key", clip(o.Prompt))
	}
	if o.Scopes == nil {
		o.Scopes = defaultScopes
	}
	if o.RefreshInterval < minRefresh {
		report(at.With("refreshInterval"), "asking more often than every %v is too much for a provider; write a longer time", minRefresh)
	}
}

// minRefresh is the shortest interval at which a provider is asked again.
const minRefresh = 10 * time.Second

// isSecureContext tells whether browsers keep Secure cookies of the URL.
func isSecureContext(base string) bool {
	u, err := url.Parse(base)
	return err == nil && (u.Scheme == "https" || isLoopback(u.Hostname()))
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// validateMembers finds members whom no sign-in could let in.
func (c *Config) validateMembers(report file.Report) {
	for i, p := range c.Projects {
		for j, m := range p.Members {
			at := file.Path{"projects", i, "members", j}
			for _, n := range []struct{ key, name string }{{"user", m.User}, {"group", m.Group}} {
				switch oidc := strings.HasPrefix(n.name, file.OIDCPrefix); {
				case n.name == "":
				case oidc && c.SignIn.OIDC == nil:
					report(at.With(n.key), "%q is somebody of an OpenID provider, but signIn.oidc is not set; set it, or remove the member", clip(n.name))
				case !oidc && c.SignIn.UsersFile == "":
					report(at.With(n.key), "%q is somebody of the users file, but signIn.usersFile is not set; set it, or write %s%s for somebody of an OpenID provider",
						clip(n.name), file.OIDCPrefix, clip(n.name))
				}
			}
		}
	}
}
