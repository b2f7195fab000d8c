package kube

import (
	"context"

	"github.com/promgate/promgate/routing"
)

// examine walks the way to a Service, up to the connection to it.
func (c *Cluster) examine(context.Context, ServiceRef) []routing.Hop { return nil }
