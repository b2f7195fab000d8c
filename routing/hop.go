package routing

// HopStatus is what became of a hop.
type HopStatus string

// The statuses of a hop.
const (
	HopOK     HopStatus = "ok"
	HopFailed HopStatus = "failed"
	// HopSkipped: the gateway may not look, or there is nothing to look at.
	// The hops after it still tell whether the way is good.
	HopSkipped HopStatus = "skipped"
)

// Hop is one step on the way to a Prometheus, as an examination found it. All
// text is for people; none of it holds a secret.
type Hop struct {
	// Name is the hop: "api server", "credentials", "rbac", "service",
	// "endpoints", "connection", "prometheus" or "token".
	Name   string    `json:"hop"`
	Status HopStatus `json:"status"`
	// Found says what was seen.
	Found string `json:"found"`
	// Cause is the likely cause of a failure, and what to do about it.
	Cause string `json:"cause,omitempty"`
	// Apply is YAML that mends it when it is applied as it stands.
	Apply string `json:"apply,omitempty"`
}
