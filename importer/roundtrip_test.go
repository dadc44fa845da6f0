package importer_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/importer"
	"github.com/keystone-auth/keystone/importer/fill"
	"github.com/keystone-auth/keystone/internal/testcluster"
	"github.com/keystone-auth/keystone/internal/testpostgres"
)

func snapshotOf(n *testcluster.Node) *importer.Snapshot {
	return &importer.Snapshot{Store: n.Running().Store(), ClusterID: "cluster of " + n.Name}
}

func compare(t *testing.T, database string, n *testcluster.Node, o importer.VerifyOptions) *importer.Verification {
	t.Helper()
	o.Most = 1000
	v, err := importer.Verify(t.Context(), open(t, database), snapshotOf(n), o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestRoundTrip: what is imported is the same as at the source, an export of it is the same as the cluster, and a
// cluster that is made of the export is the same again, down to the secrets that the first one made.
func TestRoundTrip(t *testing.T) {
	database := testpostgres.Database(t)
	if _, err := fill.Into(t.Context(), database, fill.Options{Users: 1000, Roles: 50, Clients: 50, Messy: true, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	first := testcluster.Start(t, 1).Nodes[0]
	report, err := open(t, database).Import(t.Context(), options(t, first))
	if err != nil {
		t.Fatal(err)
	}
	v := compare(t, database, first, importer.VerifyOptions{})
	var missing int64
	for _, k := range v.Kinds {
		missing += k.OnlyAtSource + k.Unrepresentable
		if k.Different+k.OnlyInCluster > 0 || k.Same == 0 {
			t.Errorf("%+v", k)
		}
	}
	if missing != int64(report.Sum().Refused) || missing == 0 {
		t.Errorf("%d rows are missing, and the import refused %d", missing, report.Sum().Refused)
	}
	for _, d := range v.Differences {
		if d.What != importer.OnlyAtSource && d.What != importer.Unrepresentable {
			t.Errorf("%+v", d)
		}
	}

	ours, err := first.Operator().CreateClient(t.Context(), api.CreateClientRequest{ClientID: "made-here", Name: "Made here", Scopes: []string{"read:profile"}})
	if err != nil {
		t.Fatal(err)
	}
	exported := testpostgres.Database(t)
	if _, err := importer.Export(t.Context(), exported, snapshotOf(first), importer.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	if v := compare(t, exported, first, importer.VerifyOptions{Strict: true}); !v.Same {
		t.Errorf("the export: %+v", v)
	}

	second := testcluster.Start(t, 1).Nodes[0]
	if report, err = open(t, exported).Import(t.Context(), options(t, second)); err != nil || report.Sum().Refused > 0 {
		t.Fatalf("%v: %+v", err, report)
	}
	if v := compare(t, exported, second, importer.VerifyOptions{}); !v.Same {
		t.Errorf("the second cluster: %+v", v)
	}
	if _, err := second.Client().ServiceToken(t.Context(), api.ServiceTokenRequest{ClientID: "made-here", ClientSecret: ours.ClientSecret}); err != nil {
		t.Errorf("the secret that the first cluster made: %v", err)
	}

	again := testpostgres.Database(t)
	if _, err := importer.Export(t.Context(), again, snapshotOf(second), importer.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	for table, columns := range map[string]string{
		"users": "*", "service_clients": "*", "user_roles": "user_id, (SELECT name FROM roles WHERE id = role_id)",
		"service_client_scopes": "service_client_id, (SELECT name FROM scopes WHERE id = scope_id)",
		"role_scopes":           "(SELECT name FROM roles WHERE id = role_id), (SELECT name FROM scopes WHERE id = scope_id)",
		"roles":                 "name, description", "scopes": "name, description, resource", "refresh_tokens": "*",
	} {
		if diff := cmp.Diff(lines(t, exported, table, columns), lines(t, again, table, columns)); diff != "" {
			t.Errorf("%s after a second round (-first +second):\n%s", table, diff)
		}
	}
}

// lines are the rows of a table as text.
func lines(t *testing.T, database, table, columns string) (all []string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(t.Context(), fmt.Sprintf("SELECT x::text FROM (SELECT %s FROM %s) x ORDER BY 1", columns, table))
	if err != nil {
		t.Fatal(err)
	}
	if all, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		t.Fatalf("%s: %v", table, err)
	}
	return all
}
