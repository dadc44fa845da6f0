# Everything that is done with this repository by hand or by CI. `make` alone lists the targets.
# Needed: Go 1.26 or later and make; for the race detector of `make test` also a C compiler.
# The libraries and linters are fetched by Go at the versions pinned in go.mod and tools.mod.

# raft writes its metrics to a dead registry without this tag; see docs/decisions.
TAGS     := hashicorpmetrics
VERSION  ?= $(or $(shell git describe --tags --always --dirty 2>/dev/null),dev)
# Functions begin at every 16th byte, as on arm64, and not at every 32nd: a quarter of a megabyte less.
LDFLAGS  := -s -w -funcalign=16 -X main.version=$(VERSION)
LINT     := go tool -modfile=tools.mod golangci-lint
# How long each fuzz target runs in `make fuzz`.
FUZZTIME ?= 30s
# RACE=off tests without the race detector, on a machine that has no C compiler.
RACE     ?= on
# How many people `make bench-import` moves.
MIGRATION_USERS ?= 1000000

# What is shipped is static; only the race detector wants cgo.
export CGO_ENABLED := 0

ifeq ($(RACE),off)
GO_TEST := go test -tags $(TAGS)
else
GO_TEST := CGO_ENABLED=1 go test -race -tags $(TAGS)
endif

.DEFAULT_GOAL := help
.PHONY: help run build package bundle manifests test check-deploy bench bench-import lint fmt docs fuzz torture openapi-lint clean need-go need-cc need-postgres

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Build, then start three nodes on this machine; options go into ARGS="--port 9000"
	@exec ./bin/keystone dev $(ARGS)

build: need-go ## Build the static binary bin/keystone
	go build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/keystone ./cmd/keystone

package: build ## Make a tarball and a Debian package in bin/dist
	deploy/package.sh $(VERSION) bin/dist

# One after the other, so that a small machine can do it. Without the stamp of version control, which depends on how the source was fetched.
bundle: build ## Make one signed tarball in bin/dist with everything that a site without internet needs
	@command -v dpkg-deb >/dev/null && command -v ssh-keygen >/dev/null || { \
	  echo "dpkg-deb or ssh-keygen is missing: install dpkg and openssh-client." >&2; exit 1; }
	@set -e; for arch in amd64 arm64; do \
	  echo "building for linux/$$arch"; \
	  GOOS=linux GOARCH=$$arch go build -trimpath -buildvcs=false -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/linux-$$arch/keystone ./cmd/keystone; \
	done
	go build -C deploy/tools -trimpath -buildvcs=false -o ../../bin/cyclonedx-gomod github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
	go build -C deploy/tools -trimpath -buildvcs=false -o ../../bin/html ./html
	deploy/bundle.sh $(VERSION) bin/dist
	deploy/sign.sh bin/dist/keystone-$(VERSION)-bundle.tar.gz

manifests: ## Write deploy/kubernetes from the chart, for which helm is needed
	helm template keystone deploy/helm/keystone > deploy/kubernetes/keystone.yaml

test: lint need-cc need-postgres ## Vet, lint and run all tests with the race detector
	$(GO_TEST) -timeout 14m ./...
	go test -C deploy/tools -count=1 ./html
	go test -tags $(TAGS) -timeout 14m ./httpapi ./lease # once more, to hold answers against the OpenAPI document, and for more worlds

check-deploy: need-go ## Hold manifests and compose file against the types of Kubernetes and Compose, offline
	go test -C deploy/tools -count=1 ./...
	cd deploy/tools && go tool -modfile=../../tools.mod golangci-lint run --config ../../.golangci.yml ./...

bench: build ## Measure Keystone against the limits of this machine; options go into ARGS="--rounds 7"
	@status=0; ./bin/keystone bench limits --report bin/bench $(ARGS) || status=$$?; $(MAKE) bench-import || status=$$?; exit $$status

bench-import: need-go need-postgres ## Measure the import of MIGRATION_USERS people against COPY
	MIGRATION_USERS=$(MIGRATION_USERS) go test -tags $(TAGS) -count=1 -timeout 4h -run '^$$' -bench '^BenchmarkImport$$' -benchtime 1x ./internal/crash

lint: need-go ## Vet the code and run the linters, the check of the formatting among them
	go vet -tags $(TAGS) ./...
	$(LINT) run ./...
	cd deploy/tools && go tool -modfile=../../tools.mod golangci-lint run --config ../../.golangci.yml ./html

fmt: need-go ## Format the code
	$(LINT) fmt ./...

docs: need-go ## Write the pages of docs that are made from the code
	go test -tags $(TAGS) ./cmd/keystone -run 'TestPageOf' -update

fuzz: need-go ## Run every fuzz target for FUZZTIME (30s)
	@set -e; grep -rno --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . \
	  | sed -E 's|^(.*)/[^/]*:[0-9]+:func (.*)$$|\1 \2|' \
	  | while read -r folder target; do \
	      echo "fuzzing $$target in $$folder for $(FUZZTIME)"; \
	      go test -tags $(TAGS) -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$folder"; \
	    done

torture: need-go need-cc need-postgres ## Run the long versions of the tests, then every fuzz target for five minutes (hours)
	KEYSTONE_TORTURE=1 $(GO_TEST) -timeout 4h -count=1 ./...
	@$(MAKE) --no-print-directory check-deploy fuzz FUZZTIME=5m

openapi-lint: need-go ## Lint the OpenAPI document with Redocly and Spectral, which npx fetches at pinned versions
	@command -v npx >/dev/null || { echo "npx is missing: install Node.js 20.19 or later from https://nodejs.org." >&2; exit 1; }
	@mkdir -p bin
	go run -tags $(TAGS) ./cmd/keystone openapi > bin/openapi.json
	npx --yes @redocly/cli@2.77.0 lint --config redocly.yaml bin/openapi.json
	npx --yes -p @stoplight/spectral-cli@6.16.3 spectral lint --fail-severity=hint -r .spectral.yaml bin/openapi.json

clean: ## Remove what was built
	rm -rf bin coverage.out

need-go:
	@command -v go >/dev/null || { \
	  echo "Go is missing: install Go 1.26 or later from https://go.dev/dl and put it on the PATH." >&2; exit 1; }
	@version=$$(go env GOVERSION 2>/dev/null | sed -nE 's/^go1\.([0-9]+).*/\1/p'); \
	  case "$$version" in \
	    "") go env GOVERSION 2>&1 | grep -q devel || { \
	          echo "Go is too old, or cannot fetch the toolchain that go.mod names: install Go 1.26 or later from https://go.dev/dl." >&2; exit 1; } ;; \
	    *)  [ "$$version" -ge 26 ] || { \
	          echo "Go 1.$$version is too old: install Go 1.26 or later from https://go.dev/dl." >&2; exit 1; } ;; \
	  esac

need-cc: need-go
	@[ "$(RACE)" = off ] || command -v "$$(go env CC)" >/dev/null || { \
	  echo "A C compiler is missing, which the race detector needs: install gcc or clang, or run this with RACE=off to do without the detector." >&2; exit 1; }

# Root may install what is missing, as in a container; others are told how.
need-postgres:
	@ls -d /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing PostgreSQL, which the tests run."; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql >/dev/null; \
	  else \
	    echo "PostgreSQL 15 or later is missing, which the tests run: install it with apt-get install postgresql, as root." >&2; exit 1; \
	  fi; }
