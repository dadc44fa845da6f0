#!/bin/sh
# Packs everything that a site without internet needs into one tarball: see deploy/BUNDLE.md, which is its front page.
# The programs, the tool that lists what is in them and the one that makes the pages were built before: make bundle.
# The same commit and the same version of Go make the same bytes.
#
#   deploy/bundle.sh VERSION FOLDER [BIN]
set -eu
umask 022
cd "$(dirname "$0")/.."
version=$1 out=$2 bin=${3:-bin}
name=keystone-$version-bundle
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
export COMPLETER="$bin/keystone"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/$name
mkdir -p "$out" "$tree/bin" "$tree/packages" "$tree/charts" "$tree/sbom" "$tree/licenses"

for arch in amd64 arm64; do
	install -D -m 755 "$bin/linux-$arch/keystone" "$tree/bin/linux-$arch/keystone"
	deploy/package.sh "$version" "$tree/packages" $arch "$bin/linux-$arch/keystone" > /dev/null
	"$bin/cyclonedx-gomod" bin -json -std -noserial -notimestamp -version "$version" \
		-output "$tree/sbom/keystone-linux-$arch.cdx.json" "$bin/linux-$arch/keystone" 2> /dev/null
done

# The files keep their places, so that what the documents say of them is right here too.
cp LICENSE Dockerfile docker-compose.yml "$tree"
mkdir "$tree/deploy"
for part in compose systemd proxies prometheus grafana kubernetes helm; do cp -R "deploy/$part" "$tree/deploy/"; done
mkdir "$work/chart" && cp -R deploy/helm/keystone "$work/chart/keystone"
chart=$(sed -n 's/^version: //p' deploy/helm/keystone/Chart.yaml)
deploy/archive.sh "$work/chart" keystone "$tree/charts/keystone-$chart.tgz" > /dev/null

# The pages are made from a copy that has this bundle's own front page.
cp -R docs "$tree/docs"
cp README.md CHANGELOG.md CONTRIBUTING.md deploy/BUNDLE.md "$tree"
"$bin/html" "$tree" "$tree"
find "$tree/docs" "$tree"/*.md -name '*.md' -exec rm {} +
cp deploy/BUNDLE.md "$tree/README.txt" # for whoever has no browser there

# What the licences of the libraries ask for: their text goes with the program. All of them come from the list of what
# is in the program, so none is missing and none is too many.
go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}}@{{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/keystone | sort -u |
	while read -r module folder; do
		found=
		for text in "$folder"/[Ll][Ii][Cc][Ee][Nn][CcSs][Ee]* "$folder"/COPYING* "$folder"/NOTICE*; do
			[ -f "$text" ] || continue
			install -D -m 644 "$text" "$tree/licenses/$module/$(basename "$text")"
			found=yes
		done
		[ -n "$found" ] || { echo "$module has no licence file" >&2; exit 1; }
	done
install -m 644 "$(go env GOROOT)/LICENSE" "$tree/licenses/go.LICENSE"

(cd "$tree" && find . -type f | LC_ALL=C sort | sed 's|^\./||' | xargs sha256sum > "$work/sums") # names here have no blanks
mv "$work/sums" "$tree/SHA256SUMS"
deploy/archive.sh "$work" "$name" "$out/$name.tar.gz"
