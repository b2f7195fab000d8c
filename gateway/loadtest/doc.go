// Package loadtest holds the gateway to what it promises under load: what one
// tenant asks too much takes nothing from another, and more questions than a
// server can answer do not make it answer fewer. It has tests alone.
//
// They ask a gateway behind a real server on the loopback interface. Requests
// start at instants fixed beforehand, whether or not earlier ones are answered,
// and times are counted from those instants: a stall is seen by all that would
// have asked during it.
//
//	go test ./gateway/loadtest -v -load.duration 15s -load.report
package loadtest
