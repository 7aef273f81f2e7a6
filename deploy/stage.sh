#!/bin/sh
# Put an installation below DESTDIR: wheels, set-up script, units, example settings, documentation.
#
#   stage.sh DESTDIR PREFIX PYTHON-VERSION...      for example: stage.sh build/deb /usr 3.11 3.13
#
# Wheels, not a virtual environment: that one knows its place and its Python, which differ from host to host
# (Debian 12 has 3.11, Debian 13 has 3.13). setup.sh makes it where it will be, without a network.
set -eu

destdir=$1 prefix=$2
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
lib=$destdir$prefix/lib doc=$destdir$prefix/share/doc/fenster

[ -f "$root/gateway/static/index.html" ] || { echo "the web client is not built: make web" >&2; exit 1; }

put() { install -D -m "$1" "$root/$2" "$3"; }

rm -rf "$lib/fenster/wheels"
mkdir -p "$lib/fenster/wheels"
# setuptools would pack what an earlier build has left there, modules that are gone among it.
rm -rf "$root"/build/lib "$root"/build/bdist.*
"$python" -m pip wheel -q --disable-pip-version-check --no-deps -w "$lib/fenster/wheels" "$root"
rm -rf "$root"/build/lib "$root"/build/bdist.*
for version in "$@"; do
  "$python" -m pip download -q --disable-pip-version-check --only-binary=:all: \
    --implementation cp --python-version "$version" \
    --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 \
    -d "$lib/fenster/wheels" "$lib/fenster/wheels"/fenster-*.whl
done

put 0755 deploy/setup.sh "$lib/fenster/setup"
for unit in "$root"/deploy/systemd/*.service "$root"/deploy/systemd/*.slice "$root"/deploy/systemd/*.timer; do
  put 0644 "deploy/systemd/${unit##*/}" "$lib/systemd/system/${unit##*/}"
  sed -i "s|/usr/lib/fenster/|$prefix/lib/fenster/|; s|/usr/share/doc/|$prefix/share/doc/|" \
    "$lib/systemd/system/${unit##*/}"
done
put 0644 deploy/systemd/fenster.sysusers "$lib/sysusers.d/fenster.conf"
put 0644 deploy/systemd/fenster.tmpfiles "$lib/tmpfiles.d/fenster.conf"
[ -e "$destdir/etc/fenster/fenster.toml" ] || put 0644 deploy/fenster.toml "$destdir/etc/fenster/fenster.toml"
for file in README.md SECURITY.md Caddyfile nginx.conf prometheus/alerts.yaml grafana/fenster.json; do
  # Some of them come with other parts of the project.
  [ ! -f "$root/deploy/$file" ] || put 0644 "deploy/$file" "$doc/${file##*/}"
done
put 0644 LICENSE "$doc/copyright"
mkdir -p "$destdir$prefix/bin"
ln -sfn "../lib/fenster/current/bin/fenster" "$destdir$prefix/bin/fenster"
