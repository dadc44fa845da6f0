#!/bin/sh
# Signs a file by ssh-keygen, which every system has that can verify it (docs/decisions/0039). The key is an Ed25519 key
# of OpenSSH: a file named by KEYSTONE_SIGNING_KEY_FILE, or the key itself in KEYSTONE_SIGNING_KEY. Without one a key is
# made, used once and thrown away, which proves nothing about who made the file.
#
#   deploy/sign.sh FILE      makes FILE.sig, and FILE.signers for ssh-keygen -Y verify
set -eu
umask 077
file=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
key=$work/key
if [ -n "${KEYSTONE_SIGNING_KEY_FILE:-}" ]; then
	key=$KEYSTONE_SIGNING_KEY_FILE
elif [ -n "${KEYSTONE_SIGNING_KEY:-}" ]; then
	printf '%s\n' "$KEYSTONE_SIGNING_KEY" > "$key"
else
	ssh-keygen -q -t ed25519 -N '' -C throwaway -f "$key"
	echo "No signing key was given (KEYSTONE_SIGNING_KEY_FILE), so a key was made that is thrown away now." >&2
	echo "The signature proves that the file arrived whole, and nothing about who made it." >&2
fi
rm -f "$file.sig"
ssh-keygen -q -Y sign -f "$key" -n keystone-bundle "$file"
ssh-keygen -y -f "$key" | awk '{ print "keystone-release namespaces=\"keystone-bundle\" " $1 " " $2 }' > "$file.signers"
chmod 644 "$file.sig" "$file.signers"
ssh-keygen -q -Y verify -f "$file.signers" -I keystone-release -n keystone-bundle -s "$file.sig" < "$file"
echo "signed by $(ssh-keygen -y -f "$key" | ssh-keygen -lf - | cut -d' ' -f2)"
