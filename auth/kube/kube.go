// Package kube vouches for callers who send a Kubernetes bearer token: the API
// servers of the clusters tell whose it is and what it opens.
package kube

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/kube"
)

const (
	// MaxTokenBytes bounds a token. A longer one is nobody's.
	MaxTokenBytes = 8 << 10
	// ReviewTimeout bounds a review, and the wait for its turn.
	ReviewTimeout = 3 * time.Second
	// PositiveFor is how long an answer is remembered that allows all that was
	// asked for, counted from the question: a right that is taken away is gone
	// after it at the latest.
	PositiveFor = 10 * time.Second
	// NegativeFor is how long any other answer is remembered.
	NegativeFor = 5 * time.Second
	// MaxRemembered bounds how many answers are remembered of each cluster, of
	// those that tell whose a token is, of those that tell what it opens, and of
	// those on actions, with and without the name of an object.
	MaxRemembered = 16384
	// MaxReviews bounds the reviews that one API server has to answer at once.
	MaxReviews = 64
	// MaxWaiting bounds the reviews of one cluster that are under way or wait
	// for it: what callers that went away again have asked for stays bounded.
	MaxWaiting = 4096
	// MaxListReviews bounds the reviews at once for one list.
	MaxListReviews = 16
)

// The results of reviews, in the words of the metric.
const (
	// ResultOK: the token is good, or something of what was asked for is allowed.
	ResultOK = "ok"
	// ResultRefused: the token is not good, or nothing of it is allowed.
	ResultRefused = "refused"
	// ResultError: there is no answer, so that the caller is refused.
	ResultError = "error"
)

// Cluster is one that Kubernetes tokens open.
type Cluster struct {
	// Connection is how its API server is reached. Its Name is what
	// auth.Resource calls the cluster.
	Connection *kube.Connection
	// UserCredentials tells that questions are asked with the caller's own token:
	// the API server's RBAC decides there. Else the gateway asks with its own.
	UserCredentials bool
	// Audiences are those of the tokens that the gateway asks for with its own
	// credentials: a token has to be meant for one of them. Without any, none is
	// good.
	Audiences []string
}

// same tells whether what was found out about one is true of the other.
func (c Cluster) same(d Cluster) bool {
	return c.Connection == d.Connection && c.UserCredentials == d.UserCredentials && slices.Equal(c.Audiences, d.Audiences)
}

// Options are what an Authenticator tells others.
type Options struct {
	// Logger receives what concerns no single request; nil: nobody.
	Logger *slog.Logger
	// OnReview is called after each review with its kind, such as TokenReview,
	// and one of the results; nil: nobody. It must be quick and safe for
	// concurrent use. An answer that is remembered is no review.
	OnReview func(review, result string)
}

// Authenticator vouches for Kubernetes tokens. It is safe for concurrent use.
// Use NewAuthenticator.
type Authenticator struct {
	options  Options
	setting  sync.Mutex // held while clusters are set
	clusters atomic.Pointer[map[string]*cluster]
}

// NewAuthenticator makes one that knows no cluster yet and so recognizes no
// token.
func NewAuthenticator(o Options) *Authenticator {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnReview == nil {
		o.OnReview = func(string, string) {}
	}
	a := &Authenticator{options: o}
	a.clusters.Store(&map[string]*cluster{})
	return a
}

// SetClusters replaces the clusters that tokens open, by their connections'
// names, at once for all. What is remembered of a cluster is kept while its
// Connection, its mode and its audiences are the same.
func (a *Authenticator) SetClusters(all []Cluster) {
	a.setting.Lock()
	defer a.setting.Unlock()
	before, now := a.set(), make(map[string]*cluster, len(all))
	for _, c := range all {
		name := c.Connection.Name
		if old := before[name]; old != nil && old.same(c) {
			now[name] = old
			continue
		}
		c.Audiences = slices.Clone(c.Audiences)
		now[name] = newCluster(c, a.options)
	}
	a.clusters.Store(&now)
}

// set is the clusters as they are now. Nobody changes the map.
func (a *Authenticator) set() map[string]*cluster { return *a.clusters.Load() }

// Recognizes tells whether the credential may be a Kubernetes token: any that
// is not one of the gateway's own kinds, while there is a cluster at all.
// Tokens of the gateway's own, in whatever state, reach no API server.
func (a *Authenticator) Recognizes(c auth.Credential) bool {
	secret := c.Secret()
	return len(a.set()) > 0 && secret != "" && len(secret) <= MaxTokenBytes && !isOwn(secret)
}

// Authenticate asks nobody: the Identity's Access does, when it is known what
// the caller wants. The Principal's ID is a part of the token's hash.
func (a *Authenticator) Authenticate(_ context.Context, c auth.Credential) (*auth.Identity, error) {
	who, err := a.caller(c)
	if err != nil {
		return nil, err
	}
	return &who.identity, nil
}

// caller is who sent the credential, whom nobody was asked about yet.
func (a *Authenticator) caller(c auth.Credential) (*caller, error) {
	if !a.Recognizes(c) {
		return nil, fmt.Errorf("%w: it is no Kubernetes token", auth.ErrInvalid)
	}
	who := &caller{authenticator: a, credential: c, hash: digest(c.Secret())}
	text := append(make([]byte, 0, 32), "sha256:"...)
	text = hex.AppendEncode(text, who.hash[:6])
	who.identity = auth.Identity{Principal: auth.Principal{Kind: auth.KindKubernetes, ID: string(text)}, Access: who}
	return who, nil
}

// digest is the token's SHA-256. Most tokens fit the buffer, which stays off
// the heap, as a plain conversion would not.
func digest(token string) [sha256.Size]byte {
	var buffer [2 << 10]byte
	return sha256.Sum256(append(buffer[:0], token...))
}
