package testcluster_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/cmd/keystone/node"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/internal/testcluster"
	"github.com/keystone-auth/keystone/secret"
	"github.com/keystone-auth/keystone/store"
)

// imported are hashes of testcluster.Password that other systems made, by their form.
var imported = map[string]string{
	"argon2id":               "$argon2id$v=19$m=512,t=2,p=2$45wzxvj/P4dQqjWG8B6jFA$SVDusISgDb0fZ8oU51aZ+aD6Ffafild0mcwSJnyfOd0",
	"argon2i":                "$argon2i$v=19$m=512,t=2,p=4$rvUeQ2itNYZwTokRImQsBQ$zy2LkGbNQ6X7E4siJL+KFiYC344uf1T9zlMFUaWpbCo",
	"bcrypt":                 "$2a$04$jAnhAxFDUDAO.ce/AYzxe.ILP8PTKx/Hk7NHvapcLEsEnJyT3XTN2",
	"Passlib bcrypt-sha256":  "$bcrypt-sha256$v=2,t=2b,r=4$I.buHQTo9qondNl2qGrx9u$DSMuTwGnaZjhzhSjWW.OLY12ZOCWvCq",
	"Passlib scrypt":         "$scrypt$ln=10,r=8,p=1$sjZmTAkhBGCs9d6bs/Y+Rw$2Ap70y8eda7i7JSUI23spklXCTFiRJvEedenzc192wQ",
	"Passlib pbkdf2-sha256":  "$pbkdf2-sha256$1000$xth7jzEGwNj7PweglLL23g$hL1PpwGCM0APt56A/DatmySMg8Sbz8h/mgT3pQWuT6E",
	"Passlib pbkdf2-sha512":  "$pbkdf2-sha512$1000$F6K0ltJaSwmBsNY6xzgHQA$cmK5QUUUBW6HzGMXh2hl1/co0lqnYlU9uoc/8k.sN7kt1FiuEDyWtuvUwimfRnH/Kp8phuFKChAHWUmYxf1m0w",
	"Passlib pbkdf2-sha1":    "$pbkdf2$1000$ufd.TykFoNRai3EOYayV0g$nyqCpZavbPFfFtfCNLaOdlLUTh8",
	"sha512-crypt":           "$6$rounds=1234$QwRJVAvhbxc9tE5o$28N8Led4kx0uYq6PKQ8y3cp2UU8wSiprFevdFrPSnASiu5iGOQY88YAkNxe6uK5p6RjbEIgpcmbagtaLxe9.B1",
	"sha256-crypt":           "$5$rounds=1234$hOYtK6g6lLZpQIPx$1LnIhW/zveVbAgV7EMcf6dA1LCgnEbI.uMpi0AMeK25",
	"Django pbkdf2_sha256":   "pbkdf2_sha256$1000$bHX2yWU4Q6k7kprFkS5YHT$dw+5+fCqmao35Gz0AG41Jt+vuGsyojYn24UxCxReNzQ=",
	"Django pbkdf2_sha1":     "pbkdf2_sha1$1000$I0i6nWXYXJx4H78EjdIywo$JT5UzL+Xagv0xO8F0IvbRdURb2E=",
	"Django argon2id":        "argon2$argon2id$v=19$m=512,t=2,p=8$U3ZudWhrSFI1RTMzb05QZUxweGpSZQ$KCyJ9ag9KzzzwHt6xELtX+FQ6AcdaNB72blvmFjL4MY",
	"Django bcrypt":          "bcrypt$$2b$04$xWlRCvD4/J2YfaAAojTQCODf8GslcP49eSN8TFO6dPjPaUNQ3R7/2",
	"Django bcrypt_sha256":   "bcrypt_sha256$$2b$04$zpDpG9/00b7Su3EUcbduv.IKXSVhvy7m3PZqlkm.DJdxP447rhgAO",
	"Django scrypt":          "scrypt$1024$R3Jpl5LyjR2szmyWYuS3xm$8$5$b0l59Ju6CtNeRIz1KG1cZNbCncEu+4JKi5bmKAXwDlWfyh1qOdU6NgBZY9TQ4KyZWWoeR0I2O3JEiADSkL+Sdw==",
	"Keycloak pbkdf2-sha1":   `{"credentialData":"{\"hashIterations\":1000,\"algorithm\":\"pbkdf2\"}","secretData":"{\"value\":\"VIwVX8YbA9iICzRMpf2uMTyFy7QclvHNpyRDLnqJv30+XMaqR7JPAZmHNa3aFB2ruGOsDgUAvrb7pDS8QxETgw==\",\"salt\":\"AxQlNkdYaXqLnK2+z+DxAg==\"}"}`,
	"Keycloak pbkdf2-sha256": `{"id":"4f3c","type":"password","createdDate":1700000000000,"secretData":"{\"value\":\"meCKPCY20bfbtPOXTNomQr1Tk7+7oFj0XGu6kqDoX1snXztJDS8V8ccxVEJGGP7gLFgtTgMXy8rAb2igJQirGg==\",\"salt\":\"AxQlNkdYaXqLnK2+z+DxAg==\",\"additionalParameters\":{}}","credentialData":"{\"hashIterations\":1000,\"algorithm\":\"pbkdf2-sha256\",\"additionalParameters\":{}}"}`,
	"Keycloak pbkdf2-sha512": `{"credentialData":{"hashIterations":1000,"algorithm":"pbkdf2-sha512","additionalParameters":{}},"secretData":{"value":"V6ynExD2D46zCTucrJzihgBnVy01+rKniCl11pueaVWKH5fWyQkUtJlHobF7ItKBNB6YN3opC+0aZzHpaN44zg==","salt":"AxQlNkdYaXqLnK2+z+DxAg=="}}`,
	"Keycloak argon2id":      `{"credentialData":"{\"hashIterations\":5,\"algorithm\":\"argon2\",\"additionalParameters\":{\"hashLength\":[\"32\"],\"memory\":[\"512\"],\"type\":[\"id\"],\"version\":[\"1.3\"],\"parallelism\":[\"1\"]}}","secretData":"{\"value\":\"uVplbuKqEcT7gdll6oMPJ1Dnn25qUfTMqW1uOgpMXvM=\",\"salt\":\"AxQlNkdYaXqLnK2+z+DxAg==\",\"additionalParameters\":{}}"}`,
}

// Of these two the first is of no form that is known, and the second would take days.
const (
	unknownHash = "md5:5f4dcc3b5aa765d61d8327deb882cf99"
	absurdHash  = "$2b$31$nCmcHPAcxPuIF3FPXlGGkO/NHntYR.CpVbEdcrPUY8Fgbmgm7fTx."
)

// propose makes a change that no route makes.
func propose(t *testing.T, n *testcluster.Node, cmd fsm.Command) fsm.Result {
	t.Helper()
	res, err := n.Running().Cluster().Propose(t.Context(), fsm.Origin{RequestID: iam.NewID(), Actor: "operator"}, cmd)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func importUser(t *testing.T, n *testcluster.Node, name, hash string) iam.ID {
	t.Helper()
	id := iam.NewID()
	propose(t, n, &fsm.CreateUser{User: iam.User{ID: id, Username: name, Email: name + "@example.org", PasswordHash: hash, Active: true}})
	return id
}

// TestImportedPasswords: whoever had a password in the other system has it here, on every node, and its hash
// becomes one of ours by the first login.
func TestImportedPasswords(t *testing.T) {
	c := testcluster.Start(t, 3)
	number := 0
	for form, hash := range imported {
		n := c.Nodes[number%3]
		number++
		name := fmt.Sprintf("user-%d", number)
		id := importUser(t, c.Nodes[0], name, hash)
		if _, err := n.Client().Login(t.Context(), api.TokenRequest{Username: name, Password: testcluster.Password + "!"}); client.CodeOf(err) != "invalid_grant" {
			t.Errorf("%s: a wrong password: %v", form, err)
		}
		for range 2 {
			if _, err := n.Client().Login(t.Context(), api.TokenRequest{Username: name, Password: testcluster.Password}); err != nil {
				t.Errorf("%s: %v", form, err)
			}
		}
		var now string
		if err := n.Running().Store().View(func(r *store.Reader) error {
			u, _ := r.User(id)
			now = u.PasswordHash
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if form, err := secret.Recognize(now); err != nil || form != "argon2id" {
			t.Errorf("after a login the hash is one of %s, %v", form, err)
		}
	}
	c.WaitAgreed()
}

// TestUnusablePasswords: a hash of no known form, or one that costs too much, lets nobody in with the words of
// a wrong password, and its owner gets another one.
func TestUnusablePasswords(t *testing.T) {
	c := testcluster.Start(t, 1)
	n := c.Nodes[0]
	for name, hash := range map[string]string{"unknown": unknownHash, "absurd": absurdHash} {
		id := importUser(t, n, name, hash)
		_, wrong := n.Client().Login(t.Context(), api.TokenRequest{Username: name, Password: testcluster.Password})
		_, nobody := n.Client().Login(t.Context(), api.TokenRequest{Username: "nobody", Password: testcluster.Password})
		if client.CodeOf(wrong) != "invalid_grant" || nobody == nil || wrong.Error() != nobody.Error() {
			t.Errorf("%s: %v, and for nobody %v", name, wrong, nobody)
		}
		if _, err := n.Operator().SetPassword(t.Context(), id.String(), "Another-9-Kestrel"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := n.Client().Login(t.Context(), api.TokenRequest{Username: name, Password: "Another-9-Kestrel"}); err != nil {
			t.Errorf("%s: with the new password: %v", name, err)
		}
	}
}

// TestImportedClientSecrets: a program's secret works as it did, and costs its hash once on each node.
func TestImportedClientSecrets(t *testing.T) {
	c := testcluster.Start(t, 1)
	n := c.Nodes[0]
	number := 0
	for form, hash := range imported {
		number++
		name := fmt.Sprintf("program-%d", number)
		propose(t, n, &fsm.CreateClient{Client: iam.Client{ID: iam.NewID(), ClientID: name, Name: name, Type: iam.Confidential, Active: true, SecretHash: hash}})
		ask := func(ctx context.Context, secret string) error {
			_, err := n.Client().ServiceToken(ctx, api.ServiceTokenRequest{ClientID: name, ClientSecret: secret})
			return err
		}
		for range 2 {
			if err := ask(t.Context(), testcluster.Password); err != nil {
				t.Errorf("%s: %v", form, err)
			}
		}
		if err := ask(t.Context(), testcluster.Password+"!"); client.CodeOf(err) != "invalid_client" {
			t.Errorf("%s: a wrong secret: %v", form, err)
		}
	}
	for _, hash := range []string{unknownHash, absurdHash} {
		name := iam.NewID().String()
		propose(t, n, &fsm.CreateClient{Client: iam.Client{ID: iam.NewID(), ClientID: name, Name: name, Type: iam.Confidential, Active: true, SecretHash: hash}})
		if _, err := n.Client().ServiceToken(t.Context(), api.ServiceTokenRequest{ClientID: name, ClientSecret: testcluster.Password}); client.CodeOf(err) != "invalid_client" {
			t.Errorf("a hash that cannot be used: %v", err)
		}
	}
}

// sharedSecret is what the old system signed with.
const sharedSecret = "the secret that the old system signed its tokens with"

// oldRefresh makes a refresh token as the old system did, and what an import brings of it.
func oldRefresh(t *testing.T, user iam.ID, lives time.Duration) (string, iam.LegacySession) {
	t.Helper()
	issued := iam.Now().Add(-time.Hour)
	row := iam.LegacySession{ID: iam.NewID(), UserID: user, IssuedAt: issued, ExpiresAt: iam.Now().Add(lives)}
	raw, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": user.String(), "username": "alice", "type": "refresh", "jti": row.ID.String(), "iss": "keystone-auth", "iat": issued.Unix(), "exp": row.ExpiresAt.Unix(),
	}).SignedString([]byte(sharedSecret))
	if err != nil {
		t.Fatal(err)
	}
	row.TokenHash, err = secret.NewHasher(secret.HasherConfig{Params: secret.Params{MemoryKiB: 64, Passes: 1, Lanes: 1}}).Hash(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return raw, row
}

// TestOldRefreshTokensOverNodes: a token of the old system is good once, whichever nodes are asked at a time, and not
// after its user was logged out on any of them.
func TestOldRefreshTokensOverNodes(t *testing.T) {
	c := testcluster.StartWith(t, 3, func(config *node.Config) {
		config.Settings.Algorithm, config.SharedKey = "HS256", secret.NewText(sharedSecret)
	})
	alice := importUser(t, c.Nodes[0], "alice", imported["bcrypt"])
	var tokens []string
	batch := &fsm.ImportBatch{Source: "old", Cursor: "1", OnConflict: iam.ConflictSkip}
	for range 4 {
		raw, row := oldRefresh(t, alice, time.Duration(len(tokens)+1)*24*time.Hour)
		tokens, batch.Sessions = append(tokens, raw), append(batch.Sessions, row)
	}
	propose(t, c.Nodes[0], batch)

	for _, raw := range tokens[:2] {
		var won api.TokenResponse
		var mu sync.Mutex
		outcomes := together(t, c, func(_ int, n *testcluster.Node) error {
			got, err := n.Client().Refresh(t.Context(), api.RefreshRequest{RefreshToken: raw})
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				won = got
			}
			return err
		})
		if outcomes[""] != 1 || outcomes["invalid_grant"] != 2 {
			t.Fatalf("one token on three nodes: %v", outcomes)
		}
		if !active(t, c, won.AccessToken) {
			t.Error("the access token is not active")
		}
		if _, err := c.Nodes[1].Client().Refresh(t.Context(), api.RefreshRequest{RefreshToken: won.RefreshToken}); err != nil {
			t.Errorf("the session does not go on: %v", err)
		}
		for _, n := range c.Nodes {
			if _, err := n.Client().Refresh(t.Context(), api.RefreshRequest{RefreshToken: raw}); client.CodeOf(err) != "invalid_grant" {
				t.Errorf("%s: a second use: %v", n.Name, err)
			}
		}
	}
	own := login(t, c.Nodes[2], "alice")
	if err := c.Nodes[2].Client().WithToken(own.AccessToken).Revoke(t.Context(), tokens[2]); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Nodes[0].Client().Refresh(t.Context(), api.RefreshRequest{RefreshToken: tokens[2]}); client.CodeOf(err) != "invalid_grant" {
		t.Errorf("a token that was taken back: %v", err)
	}
	if _, err := c.Nodes[1].Operator().LockDownUser(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		if _, err := n.Client().Refresh(t.Context(), api.RefreshRequest{RefreshToken: tokens[3]}); client.CodeOf(err) != "invalid_grant" {
			t.Errorf("%s: after the lock-down: %v", n.Name, err)
		}
	}
	c.WaitAgreed()
}
