package httpapi

import (
	"bytes"
	"fmt"
	"time"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/fsm"
)

// withReceipt adds to an answer where it is so what it says. It is added here, for all answers alike: what
// took something away need not know that anybody wants to be told.
func withReceipt(answer []byte, r *fsm.Receipt) []byte {
	if r == nil {
		return answer
	}
	rest, isObject := bytes.CutSuffix(answer, []byte("}"))
	if !isObject {
		panic("BUG: an answer has no place for its receipt")
	}
	if !bytes.HasSuffix(rest, []byte("{")) {
		rest = append(rest, ',')
	}
	rest = append(append(rest, `"effective":`...), marshal(effective(r))...)
	return append(rest, '}')
}

func effective(r *fsm.Receipt) api.Effective {
	return api.Effective{
		Index: r.Index, Nodes: fmt.Sprintf("%d/%d", r.Confirmed, r.Members),
		WaitedMs: float64(r.Waited.Round(time.Microsecond)) / float64(time.Millisecond),
	}
}
