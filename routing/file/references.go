package file

// Kind is what a file that the configuration names must hold.
type Kind string

// The kinds of files.
const (
	KindCA         Kind = "CA certificates"
	KindKeyPair    Kind = "certificate and key"
	KindSecret     Kind = "secret"
	KindKubeconfig Kind = "kubeconfig"
)

// Reference is a file that the configuration names.
type Reference struct {
	// At is the key that names it.
	At   Path
	Kind Kind
	File string
	// Key is the private key's file of a KindKeyPair.
	Key string
	// Context is the context of a KindKubeconfig; empty is the current one.
	Context string
}

// Files are the paths that the reference names.
func (r Reference) Files() []string {
	if r.Key != "" {
		return []string{r.File, r.Key}
	}
	return []string{r.File}
}

// References are the files that the sections name, in the order of the file.
func (s *Sections) References() []Reference {
	var refs []Reference
	for i, c := range s.Clusters {
		if c.Kubeconfig != "" {
			refs = append(refs, Reference{At: Path{"clusters", i, "kubeconfig"}, Kind: KindKubeconfig,
				File: c.Kubeconfig, Context: c.Context})
		}
	}
	for i, p := range s.Projects {
		for j, e := range p.Environments {
			refs = append(refs, e.references(Path{"projects", i, "environments", j})...)
		}
	}
	return refs
}

func (e *Environment) references(at Path) []Reference {
	var refs []Reference
	if t := e.TLS; t != nil {
		if t.CAFile != "" {
			refs = append(refs, Reference{At: at.With("tls", "caFile"), Kind: KindCA, File: t.CAFile})
		}
		if t.CertFile != "" && t.KeyFile != "" {
			refs = append(refs, Reference{At: at.With("tls", "certFile"), Kind: KindKeyPair, File: t.CertFile, Key: t.KeyFile})
		}
	}
	if e.BearerTokenFile != "" {
		refs = append(refs, Reference{At: at.With("bearerTokenFile"), Kind: KindSecret, File: e.BearerTokenFile})
	}
	if b := e.BasicAuth; b != nil && b.PasswordFile != "" {
		refs = append(refs, Reference{At: at.With("basicAuth", "passwordFile"), Kind: KindSecret, File: b.PasswordFile})
	}
	return refs
}
