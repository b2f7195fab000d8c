package promql

import (
	"io"
	"slices"
)

// MetadataFilter narrows metadata to a tenant's metrics.
type MetadataFilter struct {
	// Names are the values of __name__ in the tenant's series.
	Names []string
	// Limit is the largest number of metrics; below 0: all.
	Limit int
	// LimitPerMetric is the largest number of entries of one metric; 0 and
	// below: all.
	LimitPerMetric int
}

// FilterMetadata reads an upstream's answer to api/v1/metadata and returns the
// part of it that concerns the tenant's metrics, in the upstream's order and in
// at most maxOutput bytes. Metadata has no labels: of a metric that several
// tenants have, all entries are returned. Both limits are counted here, as
// metricMetadata in web/api/v1/api.go does: the upstream would count what is
// others'. Errors are as those of FilterRules.
func FilterMetadata(r io.Reader, f MetadataFilter, maxOutput int) ([]byte, error) {
	names := make(map[string]struct{}, len(f.Names))
	for _, name := range f.Names {
		names[name] = struct{}{}
	}
	shown := map[string]struct{}{}
	out := output{max: maxOutput}
	out.text(`{"status":"success","data":{`)
	hidden, err := readAnswer(r, func(a *answer) error {
		return a.object(func(family string) error {
			var entries []*metadata
			if err := a.Decode(&entries); err != nil {
				return err
			}
			if slices.Contains(entries, nil) {
				return errWrongType
			}
			entries = slices.DeleteFunc(entries, func(m *metadata) bool { return !m.isOf(family, names) })
			if f.LimitPerMetric > 0 && len(entries) > f.LimitPerMetric {
				entries = entries[:f.LimitPerMetric]
			}
			if len(entries) == 0 || f.Limit >= 0 && out.items >= f.Limit {
				return nil
			}
			if _, twice := shown[family]; twice {
				return errTwice
			}
			shown[family] = struct{}{}
			return out.item(entries, family)
		})
	})
	if err != nil {
		return nil, err
	}
	return out.finish("}", hidden)
}

// metadata is model/metadata's Metadata.
type metadata struct {
	Type string `json:"type"`
	Help string `json:"help"`
	Unit string `json:"unit"`
}

// suffixes are what the names of series have after the name of their family, by
// its type (OpenMetrics, "Metric Types"). Only those of the family's own type
// count: a tenant's orders_count does not make it see what another tenant says
// of a gauge named orders.
var suffixes = map[string][]string{
	"counter":        {"_total", "_created"},
	"histogram":      {"_bucket", "_sum", "_count", "_created"},
	"gaugehistogram": {"_bucket", "_gsum", "_gcount"},
	"summary":        {"_sum", "_count", "_created"},
	"info":           {"_info"},
}

// isOf tells whether series of the names may be of the family. In the format of
// Prometheus a family has the full name of its series, and so do native
// histograms and quantiles.
func (m *metadata) isOf(family string, names map[string]struct{}) bool {
	if _, found := names[family]; found {
		return true
	}
	return slices.ContainsFunc(suffixes[m.Type], func(suffix string) bool {
		_, found := names[family+suffix]
		return found
	})
}

// DecodeNames reads an upstream's answer that lists at most limit label names or
// values. Errors are as those of FilterRules; ErrTooLarge, where there are more.
func DecodeNames(r io.Reader, limit int) ([]string, error) {
	var names []string
	_, err := readAnswer(r, func(a *answer) error {
		return a.list(func() error {
			if len(names) >= limit {
				return ErrTooLarge
			}
			name, err := decodeItem[string](a)
			if err == nil {
				names = append(names, *name)
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}
