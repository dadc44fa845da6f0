package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/keystone-auth/keystone/iam"
)

func TestDifferences(t *testing.T) {
	role := func(n byte, text string) iam.Role {
		return iam.Role{ID: id(n), Name: fmt.Sprint("role", n), Description: text}
	}
	s := open(t)
	update(t, s, func(tx *Tx) {
		for _, n := range []byte{2, 3, 4, 6, 9} {
			tx.PutRole(role(n, "before"))
		}
	})
	var file bytes.Buffer
	if _, err := s.Copy(&file); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "before.db")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	update(t, s, func(tx *Tx) {
		tx.PutRole(role(1, "new"))
		tx.DeleteRole(id(2))
		tx.PutRole(role(3, "changed"))
		tx.PutRole(role(4, "before"))
		tx.PutRole(role(5, "new"))
		tx.DeleteRole(id(9))
		tx.PutRole(role(10, "new"))
	})
	differences := func(now, before *Reader, most int) (all []string) {
		now.Differences(before, RoleTable, func(id iam.ID, here bool) bool {
			all = append(all, fmt.Sprint(id[15], here))
			return len(all) < most
		})
		return all
	}
	view(t, s, func(now *Reader) {
		view(t, before, func(before *Reader) {
			for _, c := range []struct {
				a, b *Reader
				most int
				want []string
			}{
				{now, before, 100, []string{"1 true", "2 false", "3 true", "5 true", "9 false", "10 true"}},
				{before, now, 100, []string{"1 false", "2 true", "3 true", "5 false", "9 true", "10 false"}},
				{now, before, 2, []string{"1 true", "2 false"}},
				{now, now, 100, nil},
			} {
				if got := differences(c.a, c.b, c.most); !slices.Equal(got, c.want) {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}
		})
	})
	// An empty state differs in all that there is.
	empty := open(t)
	view(t, empty, func(none *Reader) {
		view(t, before, func(before *Reader) {
			if got := differences(before, none, 100); len(got) != 5 {
				t.Errorf("got %q", got)
			}
			if got := differences(none, before, 100); len(got) != 5 {
				t.Errorf("got %q", got)
			}
		})
	})
}
