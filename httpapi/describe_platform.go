package httpapi

import (
	"reflect"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
)

var (
	healthyAnswer = sample{"healthy", "A node that can answer", object{
		{"status", "healthy"}, {"version", "v1.0.0"}, {"node", "node-1"}, {"role", "leader"}, {"leader", "node-1"}, {"applied_index", 1042},
	}}
	unwellAnswer = object{
		{"status", "unhealthy"},
		{"version", "v1.0.0"},
		{"node", "node-1"},
		{"role", "candidate"},
		{"leader", ""},
		{"applied_index", 1042},
		{"error", "temporarily_unavailable"},
		{"error_description", "This node knows of no leader: the cluster is forming, electing, or has lost its majority."},
		{"timestamp", sampleTime},
		{"path", "/health"},
		{"request_id", sampleID},
		{"retry_after", 1},
	}
)

const inPathNode = "The node's name."

var describedPlatform = map[string]described{
	"POST /api/v1/admin/cluster/epoch": {
		tag: "Cluster", summary: "Make everything dead that was issued", id: "raiseEpoch", success: "The new epoch. Every token, session and mailed link of before is dead on every node, that of the caller included.",
		text: "For when the worst must be assumed, and after a backup was restored. Signing keys are replaced at once, except the shared secret of the compatible mode.",
	},
	"GET /api/v1/admin/cluster": {
		tag: "Cluster", summary: "Read the state of the nodes", id: "cluster", success: "What the node that was asked knows of all nodes.",
		text: "Answered without a leader too. `agrees` compares the state hashes of two nodes at a common log index.",
	},
	"DELETE /api/v1/admin/cluster/nodes/{}": {
		tag: "Cluster", summary: "Remove a node", id: "removeNode", success: "The node is no member any more: the others refuse it at once, and it stops.", inPath: inPathNode, fails: []iam.Code{iam.Conflict, iam.TemporarilyUnavailable},
		text: "Refused where the others would have no majority. Whoever has the cluster secret can join again: exchange it where the node may be in the wrong hands.",
	},
	"POST /api/v1/admin/cluster/nodes/{}/promote": {
		tag: "Cluster", summary: "Give a node a vote", id: "promoteNode", success: "The node votes, and can lead.", inPath: inPathNode, fails: []iam.Code{iam.Conflict, iam.TemporarilyUnavailable},
		text: "Only one that was demoted needs it: others are given their vote once they follow closely. Refused where the node is down, or far behind.",
	},
	"POST /api/v1/admin/cluster/nodes/{}/demote": {
		tag: "Cluster", summary: "Take a node's vote", id: "demoteNode", success: "The node answers like all others, and neither votes nor leads until it is promoted.", inPath: inPathNode, fails: []iam.Code{iam.Conflict, iam.TemporarilyUnavailable},
		text: "Refused where the others would have no majority, and where the node does not answer.",
	},
	"POST /api/v1/admin/cluster/transfer": {
		tag: "Cluster", summary: "Have another node lead", id: "transferLeadership", success: "Who leads now.", fails: []iam.Code{iam.Conflict, iam.NotFound, iam.TemporarilyUnavailable},
	},
	"GET /api/v1/admin/backup": {
		tag: "Cluster", summary: "Copy the whole state", id: "backup", success: "An archive of the state as this node has it, which ends with its SHA-256 and a signature.",
		text: "Holds password hashes, so it is encrypted by whoever keeps it: `keystone backup create` does. A node makes one copy at a time. " +
			"An archive that breaks off is shorter than `Content-Length` says. That it was read is in the audit log.",
		media: contentBytes, schema: object{{"type", "string"}, {"format", "binary"}}, fails: []iam.Code{iam.RateLimitExceeded, iam.TemporarilyUnavailable},
	},
	"GET /api/v1/admin/log": {
		tag: "Cluster", summary: "Copy the log of changes", id: "copyLog", success: "The log as far as this node has applied it, one CBOR item for each entry.",
		text:  "Holds password hashes, as a backup does. `keystone upgrade check` applies it by another version. That it was read is in the audit log.",
		media: contentBytes, schema: object{{"type", "string"}, {"format", "binary"}}, fails: []iam.Code{iam.NotFound, iam.RateLimitExceeded, iam.TemporarilyUnavailable},
	},
	"GET /api/v1/admin/stats": {
		tag: "Cluster", summary: "Count what there is", id: "stats", success: "Real counts, none of them an estimate.",
	},
	"GET /api/v1/admin/keys": {
		tag: "Keys", summary: "List the signing keys", id: "listKeys", success: "The keys, without what is private of them.",
	},
	"POST /api/v1/admin/keys/rotate": {
		tag: "Keys", summary: "Make a new signing key", id: "rotateKey", success: "The new key.",
		text: "The new key is published before it signs, and the old one stays published until the last token that it signed has expired.",
	},
	"GET /api/v1/admin/audit": {
		tag: "Audit", summary: "List what happened", id: "listEvents", success: "One page of events.", sorts: []string{"sequence"},
		text: "Each event carries the hash of the one before, so that what was changed or removed afterwards is seen (`keystone audit verify`).", query: auditFilters,
	},
	"GET /api/v1/admin/audit/export": {
		tag: "Audit", summary: "Export what happened", id: "exportEvents", success: "One event a line, the oldest first.",
		text:  "Each line is one `AuditEvent` in JSON. An export that breaks off ends without the end of the HTTP message.",
		query: append(auditFilters, auditAfter), media: "application/x-ndjson", fails: []iam.Code{iam.ValidationError},
	},
	"GET /api/v1/admin/audit/checkpoints": {
		tag: "Audit", summary: "Read what the audit log is proved by", id: "auditCheckpoints", success: "Signed statements about the chain, the oldest first.",
		query: []queryParameter{auditAfter}, fails: []iam.Code{iam.ValidationError},
	},

	"GET /health": {
		tag: "Platform", summary: "Ask whether this node can answer correctly", id: "health", success: "It can.",
		response: reflect.TypeFor[api.Health](), answers: []sample{healthyAnswer}, unwell: reflect.TypeFor[unhealthy](), unwellSample: unwellAnswer,
	},
	"GET /health/ready": {
		tag: "Platform", summary: "Ask whether this node should be sent requests", id: "ready", success: "It should.",
		response: reflect.TypeFor[api.Health](), answers: []sample{healthyAnswer}, unwell: reflect.TypeFor[unhealthy](), unwellSample: unwellAnswer,
	},
	"GET /health/live": {
		tag: "Platform", summary: "Ask whether the process answers at all", id: "live", success: "It does.",
		text: "Never looks at the cluster: a restart cures none of what that may lack.",
	},
	"GET /metrics": {
		tag: "Platform", summary: "Read the metrics", id: "metrics", success: "The text format of Prometheus.", media: "text/plain",
		text: "Where `KEYSTONE_METRICS_TOKEN` is set, it must be sent as the bearer token.", fails: []iam.Code{iam.Unauthorized},
		security: []any{object{}, object{{"metricsToken", []string{}}}},
	},
	"GET /openapi.json": {
		tag: "Platform", summary: "Read this document", id: "openapi", success: "OpenAPI 3.1.", schema: object{{"type", "object"}, {"additionalProperties", true}},
		media: contentJSON, text: "It is the same on all nodes of one version. `/docs` and `/redoc` show it to people.",
	},
	"GET /docs":    {hidden: true},
	"GET /redoc":   {hidden: true},
	"GET /docs/{}": {hidden: true},
}

var auditFilters = []queryParameter{
	{"from", "Only events at or after this time.", object{{"type", "string"}, {"format", "date-time"}}},
	{"to", "Only events before this time.", object{{"type", "string"}, {"format", "date-time"}}},
	{"type", "Only events of this type.", object{{"type", "string"}}},
	{"actor", "Only events of this actor.", object{{"type", "string"}}},
	{"target", "Only events about this.", object{{"type", "string"}}},
	{"result", "Only events that ended so.", object{{"type", "string"}, {"enum", []string{iam.AuditSuccess, iam.AuditRefused}}}},
}

var auditAfter = queryParameter{"after", "Only what comes after this sequence number.", object{{"type", "integer"}, {"minimum", 0}}}
