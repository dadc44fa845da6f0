package httpapi

import (
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/keystone-auth/keystone/iam"
)

// version tells which version of a single resource the answer holds, for writes that are to fail when
// somebody else was faster (RFC 9110 §8.8.3). It changes with what is written through the API, and not
// with every login: nobody's write should fail because of that. So it is not for If-None-Match, by which
// a reader would miss the last login.
func (x *exchange) version(id iam.ID, changed uint64) {
	x.http.Response.Header.Set(fasthttp.HeaderETag, etag(id, changed))
}

func etag(id iam.ID, changed uint64) string {
	return `"` + id.String() + "-" + strconv.FormatUint(changed, 36) + `"`
}

// conditional tells whether the caller names a version that the resource must have.
func (x *exchange) conditional() bool {
	return len(x.http.Request.Header.Peek(fasthttp.HeaderIfMatch)) > 0
}

// ifMatch is the version of the resource that the caller has seen and wants to change, for the If of a
// command; 0 where the header is missing or "*" (RFC 9110 §13.1.1). What names no version of this
// resource cannot match. Weak tags never do, for they promise too little.
func (x *exchange) ifMatch(id iam.ID) (uint64, error) {
	header := strings.TrimSpace(string(x.http.Request.Header.Peek(fasthttp.HeaderIfMatch)))
	if header == "" || header == "*" {
		return 0, nil
	}
	for tag := range strings.SplitSeq(header, ",") {
		text, ok := strings.CutPrefix(strings.Trim(strings.TrimSpace(tag), `"`), id.String()+"-")
		changed, err := strconv.ParseUint(text, 36, 64)
		if ok && err == nil && changed != 0 {
			return changed, nil
		}
	}
	return 0, iam.Errorf(iam.PreconditionFailed, "The If-Match header does not name a version of this resource: read it again.")
}
