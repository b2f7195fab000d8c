package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/labels"
)

// CheckSelector tells whether a label selector is well formed. The empty one
// is.
func CheckSelector(selector string) error {
	if _, err := labels.Parse(selector); err != nil {
		return fmt.Errorf("not a label selector (%w); write one such as promgate.io/project=true", err)
	}
	return nil
}
