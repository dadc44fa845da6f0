package httpapi

import (
	"bytes"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/fsm"
)

// addReceipt adds to an answer where it is so what it says. It is added here, for all answers alike: what
// took something away need not know that anybody wants to be told.
func (x *exchange) addReceipt() {
	r := x.receipts.Receipt()
	if r == nil {
		return
	}
	text, err := json.Marshal(effective(r))
	rest, isObject := bytes.CutSuffix(x.http.Response.Body(), []byte("}"))
	if err != nil || !isObject {
		panic("BUG: an answer has no place for its receipt")
	}
	if !bytes.HasSuffix(rest, []byte("{")) {
		rest = append(rest, ',')
	}
	rest = append(rest, `"effective":`...)
	x.http.SetBody(append(append(rest, text...), '}'))
}

func effective(r *fsm.Receipt) api.Effective {
	return api.Effective{
		Index: r.Index, Nodes: fmt.Sprintf("%d/%d", r.Confirmed, r.Members),
		WaitedMs: float64(r.Waited.Round(time.Microsecond)) / float64(time.Millisecond),
	}
}
