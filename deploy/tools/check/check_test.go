package check_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// kubernetes reads objects as the API server does that was asked to be strict: a member that their type does not have is
// an error, and so is one that comes twice.
func kubernetes(t *testing.T, manifest string) (kinds []string, err error) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{appsv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	documents := yaml.NewDocumentDecoder(io.NopCloser(strings.NewReader(manifest)))
	for {
		buffer := make([]byte, 1<<20)
		n, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			return kinds, nil
		}
		if err != nil {
			return kinds, err
		}
		if len(bytes.TrimSpace(buffer[:n])) == 0 {
			continue
		}
		_, kind, err := decoder.Decode(buffer[:n], nil, nil)
		if err != nil {
			return kinds, err
		}
		kinds = append(kinds, kind.Kind)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestManifests: each object is what Kubernetes knows under its name, and nothing in it is misspelt.
func TestManifests(t *testing.T) {
	manifest := read(t, "../../kubernetes/keystone.yaml")
	kinds, err := kubernetes(t, manifest)
	if err != nil {
		t.Error(err)
	}
	for _, want := range []string{"StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy"} {
		if !slices.Contains(kinds, want) {
			t.Errorf("there is no %s: %v", want, kinds)
		}
	}
	for right, wrong := range map[string]string{"serviceName:": "servicename:", "maxUnavailable: 1": "maxUnavailable: [1]", "policy/v1": "policy/v1beta9"} {
		if broken := strings.Replace(manifest, right, wrong, 1); broken == manifest {
			t.Errorf("the manifests have no %q, with which the check is tested", right)
		} else if _, err := kubernetes(t, broken); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

// compose reads the file as docker compose config does, with everything that can be switched on.
func compose(t *testing.T, text string) (*types.Project, error) {
	t.Helper()
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  "../../..",
		ConfigFiles: []types.ConfigFile{{Filename: "docker-compose.yml", Content: []byte(text)}},
	}, func(o *loader.Options) { o.Profiles = []string{"*"} })
}

func TestCompose(t *testing.T) {
	text := read(t, "../../../docker-compose.yml")
	project, err := compose(t, text)
	if err != nil {
		t.Fatal(err)
	}
	if names := project.ServiceNames(); len(names) != 6 {
		t.Errorf("the services are %v, want 6", names)
	}
	for name, service := range project.Services {
		if strings.HasPrefix(name, "node-") && (!service.ReadOnly || len(service.Secrets) != 1 || len(service.Volumes) != 1) {
			t.Errorf("%s: read only %v, secrets %v, volumes %v", name, service.ReadOnly, service.Secrets, service.Volumes)
		}
	}
	for right, wrong := range map[string]string{"read_only:": "readonly:", "secrets: [keystone]": "secrets: [nothing]", `volumes: ["node-1:/data"]`: `volumes: ["node-9:/data"]`} {
		if broken := strings.Replace(text, right, wrong, 1); broken == text {
			t.Errorf("the file has no %q, with which the check is tested", right)
		} else if _, err := compose(t, broken); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}
