package file

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/promgate/promgate/tokens"
)

// BenchmarkList lists 10,000 tokens of 200 projects, and those of one project.
func BenchmarkList(b *testing.B) {
	s := open(b, Options{Dir: b.TempDir()})
	err := s.write(b.Context(), func(tx *sql.Tx) error {
		for i := range 10_000 {
			r := record(fmt.Sprintf("%032x", i))
			r.Scope.ProjectUID = fmt.Sprintf("%032x", i%200)
			r.CreatedBy, r.CreatedAt = "local:anna", r.CreatedAt.Add(-time.Duration(i*7919%10_000)*time.Second)
			if err := insert(b.Context(), tx, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if all, err := s.List(b.Context()); err != nil || len(all) != 10_000 {
				b.Fatal(len(all), err)
			}
		}
	})
	b.Run("project", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if all, err := s.ListProject(b.Context(), tokens.Scope{ProjectUID: fmt.Sprintf("%032x", 7)}); err != nil || len(all) != 50 {
				b.Fatal(len(all), err)
			}
		}
	})
}
