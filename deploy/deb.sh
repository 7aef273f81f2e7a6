#!/bin/sh
# Build the Debian package; its path is printed.
#
#   deb.sh OUT      the folder that it goes to
set -eu

out=$1
root=$(cd "$(dirname "$0")/.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/pyproject.toml")
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 0755 "$tree"
umask 022

# Debian 12 and 13.
"$root/deploy/stage.sh" "$tree" /usr 3.11 3.13
mkdir "$tree/DEBIAN"
size=$(du -sk "$tree" | cut -f 1)
sed "s/@VERSION@/$version/; s/@SIZE@/$size/" "$root/deploy/debian/control" > "$tree/DEBIAN/control"
for script in postinst prerm postrm; do install -m 0755 "$root/deploy/debian/$script" "$tree/DEBIAN/$script"; done
echo /etc/fenster/fenster.toml > "$tree/DEBIAN/conffiles"
# Another Python (a new Debian release) needs another environment.
echo "interest-noawait /usr/bin/python3" > "$tree/DEBIAN/triggers"
mkdir -p "$out"
# Wheels are compressed already.
dpkg-deb --root-owner-group -Zxz -z1 --build "$tree" "$out/fenster_${version}_amd64.deb" >/dev/null
echo "$out/fenster_${version}_amd64.deb"
