//go:build race

package promql

// slowdown is how much longer the race detector lets things take.
const slowdown = 20
