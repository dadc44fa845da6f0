#!/bin/sh
# Makes a tarball and, where dpkg-deb is there, a Debian package of bin/keystone.
#
#   deploy/package.sh VERSION FOLDER
set -eu
cd "$(dirname "$0")/.."
version=$1 out=$2
arch=$(go env GOARCH)
name=keystone-$version-linux-$arch
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

tree=$work/$name
mkdir -p "$tree/completions"
cp bin/keystone README.md LICENSE CHANGELOG.md "$tree"
cp -R docs "$tree/docs"
cp -R deploy/systemd deploy/proxies deploy/prometheus deploy/grafana deploy/kubernetes deploy/helm "$tree"
for shell in bash zsh fish; do bin/keystone completion $shell > "$tree/completions/keystone.$shell"; done
tar -C "$work" --owner=0 --group=0 --sort=name --mtime='@0' -czf "$out/$name.tar.gz" "$name"
echo "$out/$name.tar.gz"

if ! command -v dpkg-deb > /dev/null; then
	echo "dpkg-deb is not installed here, so no Debian package was made." >&2
	exit 0
fi
root=$work/deb
install -D -m 755 bin/keystone "$root/usr/bin/keystone"
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
Installed-Size: $(du -sk "$root" | cut -f1)
Description: authentication and authorization for services
 A cluster of three nodes logs people and programs in and tells services whether
 a token is good. There is no database and no cache beside it.
CONTROL
dpkg-deb --root-owner-group --build "$root" "$out/keystone_${deb}_$arch.deb" > /dev/null
echo "$out/keystone_${deb}_$arch.deb"
