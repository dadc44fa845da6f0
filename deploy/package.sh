#!/bin/sh
# Makes a tarball and, where dpkg-deb is there, a Debian package of a program for Linux. The same program makes the same
# bytes, whenever and wherever: times are that of the commit, names are sorted, the owner is root, the modes are fixed.
#
#   deploy/package.sh VERSION FOLDER [ARCH [PROGRAM]]      bin/keystone of this machine writes the completions
set -eu
umask 022
cd "$(dirname "$0")/.."
version=$1 out=$2
arch=${3:-$(go env GOARCH)}
program=${4:-bin/keystone}
name=keystone-$version-linux-$arch
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || echo 0)}
export SOURCE_DATE_EPOCH

tree=$work/$name
mkdir -p "$tree/completions"
cp "$program" "$tree/keystone"
cp README.md LICENSE CHANGELOG.md "$tree"
cp -R docs "$tree/docs"
cp -R deploy/systemd deploy/proxies deploy/prometheus deploy/grafana deploy/kubernetes deploy/helm "$tree"
for shell in bash zsh fish; do "${COMPLETER:-bin/keystone}" completion $shell > "$tree/completions/keystone.$shell"; done
deploy/archive.sh "$work" "$name" "$out/$name.tar.gz"

if ! command -v dpkg-deb > /dev/null; then
	echo "dpkg-deb is not installed here, so no Debian package was made." >&2
	exit 0
fi
root=$work/deb
install -D -m 755 "$program" "$root/usr/bin/keystone"
install -D -m 644 deploy/systemd/keystone.service "$root/usr/lib/systemd/system/keystone.service"
install -d -m 755 "$root/etc/keystone"
install -D -m 644 "$tree/completions/keystone.bash" "$root/usr/share/bash-completion/completions/keystone"
install -D -m 644 "$tree/completions/keystone.zsh" "$root/usr/share/zsh/vendor-completions/_keystone"
install -D -m 644 "$tree/completions/keystone.fish" "$root/usr/share/fish/vendor_completions.d/keystone.fish"
install -D -m 644 LICENSE "$root/usr/share/doc/keystone/copyright"
cp -R docs README.md "$root/usr/share/doc/keystone/"
install -D -m 755 deploy/debian/postinst "$root/DEBIAN/postinst"
install -m 755 deploy/debian/prerm "$root/DEBIAN/prerm"
# Debian wants a digit first, and takes no hyphens but the one of its own revision.
deb=$(echo "$version" | sed -E 's/^v//; s/-/+/g; s/^([^0-9])/0~\1/')
cat > "$root/DEBIAN/control" <<CONTROL
Package: keystone
Version: $deb
Architecture: $arch
Maintainer: Keystone maintainers <maintainers@keystone-auth.example>
Section: admin
Priority: optional
Installed-Size: $(find "$root" -type f -exec wc -c {} + | awk '$2 == "total" { n += $1 } END { print int(n / 1024) + 1 }')
Description: authentication and authorization for services
 A cluster of three nodes logs people and programs in and tells services whether
 a token is good. There is no database and no cache beside it.
CONTROL
chmod -R u=rwX,go=rX "$root"
# gzip, since what xz makes depends on the number of processors. Times later than the commit's are cut to it.
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zgzip --build "$root" "$out/keystone_${deb}_$arch.deb" > /dev/null
echo "$out/keystone_${deb}_$arch.deb"
