//go:build !race

package promql

// slowdown is how much longer the race detector lets things take: there is none.
const slowdown = 1
