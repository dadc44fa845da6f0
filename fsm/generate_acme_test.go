package fsm

import (
	"crypto/sha256"

	"pgregory.net/rapid"
)

func genACMEKey(t *rapid.T) string {
	return one(t, "key", []string{"acme", "acme/a", "acme/a/b", "acme/b", "acme2"})
}

func genPutACME(t *rapid.T, _ *hints) Command {
	value := func(label string) []byte { return []byte(one(t, label, []string{"v1", "v2"})) }
	c := &PutACME{Key: genACMEKey(t), Sealed: value("value")}
	if !mostly(t, "anything") {
		sum := sha256.Sum256(value("was"))
		c.Was = sum[:]
	}
	return c
}

func genTakeLock(t *rapid.T, _ *hints) Command {
	return &TakeLock{Name: "l", Holder: genID(t, 'h', 2), Seconds: int64(one(t, "seconds", []int{1, 10}))}
}
