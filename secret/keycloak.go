package secret

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// keycloakCredential is a password as Keycloak exports it with a realm: one element of a user's "credentials", as
// it stands there. From the columns of Keycloak's table credential it is made by
//
//	json_build_object('credentialData', credential_data, 'secretData', secret_data)
//
// Both members may be objects or, as Keycloak writes them, texts that hold one. Other members are passed over.
type keycloakCredential struct {
	Type       string         `json:"type"`
	Credential jsontext.Value `json:"credentialData"`
	Secret     jsontext.Value `json:"secretData"`
}

// keycloakAlgorithm is what credentialData holds.
type keycloakAlgorithm struct {
	Algorithm  string `json:"algorithm"`
	Iterations uint64 `json:"hashIterations"`
	More       struct {
		Type        []string `json:"type"`
		Version     []string `json:"version"`
		Memory      []string `json:"memory"` // KiB
		Parallelism []string `json:"parallelism"`
	} `json:"additionalParameters"`
}

// keycloakSecret is what secretData holds.
type keycloakSecret struct {
	Value []byte `json:"value"` // Base64, like the salt
	Salt  []byte `json:"salt"`
}

const formKeycloak = "Keycloak"

// parseKeycloak reads a keycloakCredential of pbkdf2, pbkdf2-sha256, pbkdf2-sha512 or argon2.
func parseKeycloak(text string) (stored, error) {
	var c keycloakCredential
	var a keycloakAlgorithm
	var s keycloakSecret
	if json.Unmarshal([]byte(text), &c) != nil || c.Type != "" && c.Type != "password" {
		return stored{}, unknownForm()
	}
	if !unwrap(c.Credential, &a) || !unwrap(c.Secret, &s) || !sized(s.Salt, s.Value) {
		return stored{}, malformed(formKeycloak)
	}
	if a.Algorithm == "argon2" {
		return keycloakArgon2(a, s)
	}
	name, is := strings.CutPrefix(a.Algorithm, "pbkdf2-")
	if a.Algorithm == "pbkdf2" {
		name, is = "sha1", true
	}
	digest, known := digestOf(name)
	if !is || !known {
		return stored{}, unknownForm()
	}
	return pbkdf2Of("Keycloak pbkdf2-"+name, digest, a.Iterations, s.Salt, s.Value)
}

func keycloakArgon2(a keycloakAlgorithm, s keycloakSecret) (stored, error) {
	one := func(values []string) string {
		if len(values) != 1 {
			return ""
		}
		return values[0]
	}
	if one(a.More.Version) != "1.3" {
		return stored{}, malformed(formKeycloak)
	}
	// Put together as the string that it would be elsewhere, so that the bounds are those of every other.
	b64 := base64.RawStdEncoding
	hash, err := parseArgon2(fmt.Sprintf("$argon2%s$v=19$m=%s,t=%d,p=%s$%s$%s", one(a.More.Type), one(a.More.Memory),
		a.Iterations, one(a.More.Parallelism), b64.EncodeToString(s.Salt), b64.EncodeToString(s.Value)))
	hash.form = "Keycloak " + hash.form
	return hash, err
}

// unwrap reads an object, or a text that holds one.
func unwrap(value jsontext.Value, into any) bool {
	var text string
	if value.Kind() == '"' {
		if json.Unmarshal(value, &text) != nil {
			return false
		}
		value = jsontext.Value(text)
	}
	return value.Kind() == '{' && json.Unmarshal(value, into) == nil
}
