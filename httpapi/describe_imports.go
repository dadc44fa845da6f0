package httpapi

import "github.com/keystone-auth/keystone/iam"

var describedImports = map[string]described{
	"POST /api/v1/admin/import": {
		tag: "Import", summary: "Bring in a batch of rows", id: "importBatch", success: "What came of the rows. All of it is kept together with the cursor, on a majority of the nodes.",
		text: "`after` must be the cursor that the import has, else the answer is 409 and tells it. What is the same at the source as when it was imported last is left alone, as it is here now. " +
			"A batch has at most 2000 rows, and as a log entry at most 256 KiB, which 250 KiB of JSON never exceed. " +
			"Needs all scopes of administration; rows about superusers are for superusers and the operator. A dry run looks at the batch alone: it knows no rows that only other batches would have brought.",
		fails: []iam.Code{iam.Conflict, iam.Forbidden},
	},
	"GET /api/v1/admin/imports/{}": {
		tag: "Import", summary: "Read how far an import has come", id: "importState", success: "The cursor, and the counts of all batches together.", inPath: "The name of the import.", fails: []iam.Code{iam.NotFound},
	},
	"GET /api/v1/admin/imports/{}/rows": {
		tag: "Import", summary: "List what an import has brought", id: "importedRows", success: "Some of the ids, as the source has them.", inPath: "The name of the import.",
		query: []queryParameter{
			{"kind", "Of what kind.", object{{"type", "string"}, {"enum", []string{"scope", "role", "user", "client", "session"}}}},
			{"after", "The member `next` of the answer before.", object{{"type", "string"}}},
		}, fails: []iam.Code{iam.ValidationError},
	},
	"DELETE /api/v1/admin/imports/{}": {
		tag: "Import", summary: "Let an import begin again", id: "forgetImport", success: "It may. Its rows stay, and are compared when they come again.", inPath: "The name of the import.", fails: []iam.Code{iam.NotFound, iam.ValidationError},
	},
}
