#!/bin/sh
# Packs a folder so that the same files give the same bytes, whoever packs them and when.
#
#   SOURCE_DATE_EPOCH=SECONDS deploy/archive.sh FOLDER NAME FILE.tar.gz      packs FOLDER/NAME
set -eu
LC_ALL=C tar --directory "$1" --format=gnu --sort=name --owner=0 --group=0 --numeric-owner --mode='u=rwX,go=rX' \
	--mtime="@$SOURCE_DATE_EPOCH" --create "$2" | gzip --no-name --best > "$3"
echo "$3"
