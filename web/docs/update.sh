#!/bin/sh
# Fetches the pages that show the OpenAPI document from npm, at pinned versions, and packs them as they
# are embedded. To move to another version change it and its integrity (npm view NAME@VERSION dist.integrity).
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch() { # name version integrity
	npm pack --silent --pack-destination "$work" "$1@$2" >/dev/null
	have=sha512-$(openssl dgst -sha512 -binary "$work/$1-$2.tgz" | base64 | tr -d '\n')
	[ "$have" = "$3" ] || { echo "$1 $2 is not what it was: $have" >&2; exit 1; }
	mkdir "$work/$1"
	tar -xzf "$work/$1-$2.tgz" -C "$work/$1" --strip-components=1
}

fetch swagger-ui-dist 5.35.0 'sha512-U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ=='
fetch redoc 2.5.4 'sha512-M6jWhG1qoBnH6TFmzJnstyCZ87HmOY/UzDm78mHiYihEdlV/YcS9ogOo1NlElnJMeLsyxHFe2yFc4sNjHTrABQ=='

pack() { gzip -9n <"$1" >"$2.gz"; }

# The badge at the foot of ReDoc's menu is asked of a server of its makers, who would learn of each visit.
badge='https://cdn.redoc.ly/redoc/logo-mini.svg'
grep -q "$badge" "$work/redoc/bundles/redoc.standalone.js"
sed -i "s|$badge|data:,|" "$work/redoc/bundles/redoc.standalone.js"

# It makes two style elements before anybody can tell it the nonce that the page's policy asks for: it is
# told by the script element that loads it.
nonce='r.nc=void 0'
[ "$(grep -o "$nonce" "$work/redoc/bundles/redoc.standalone.js" | wc -l)" = 1 ]
sed -i "s|$nonce|r.nc=document.currentScript.nonce|" "$work/redoc/bundles/redoc.standalone.js"

pack "$work/swagger-ui-dist/swagger-ui-bundle.js" swagger-ui-bundle.js
pack "$work/swagger-ui-dist/swagger-ui.css" swagger-ui.css
pack "$work/redoc/bundles/redoc.standalone.js" redoc.standalone.js

# The licences ask to be passed on with what they are for.
{
	echo '=== swagger-ui-dist (https://github.com/swagger-api/swagger-ui)'; cat "$work/swagger-ui-dist/NOTICE" "$work/swagger-ui-dist/LICENSE"
	echo '=== what swagger-ui-bundle.js holds'; cat "$work/swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt"
	echo '=== redoc (https://github.com/Redocly/redoc)'; cat "$work/redoc/LICENSE"
	echo '=== what redoc.standalone.js holds'; cat "$work/redoc/bundles/redoc.standalone.js.LICENSE.txt"
} >"$work/licences.txt"
pack "$work/licences.txt" licences.txt
