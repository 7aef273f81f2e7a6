#!/bin/sh
# Make what an installation needs on this host: the virtual environment, the user with its subordinate ids, folders.
# Run as root, again after each upgrade of Fenster or of Python; nothing that is right already is touched.
#
# Each release has an environment of its own, so that what runs goes on with the files that it was started with.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
prefix=${here%/lib/fenster}
python=${PYTHON:-/usr/bin/python3}

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
venv=$here/venv-$version-$(cd "$here/wheels" && sha256sum -- *.whl | sha256sum | cut -c 1-12)
if [ ! -e "$venv/whole" ]; then
  rm -rf "$venv"
  "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install --isolated -q --disable-pip-version-check --no-index --find-links "$here/wheels" fenster
  : > "$venv/whole"
fi
ln -sfn "${venv##*/}" "$here/current.new"
mv -Tf "$here/current.new" "$here/current"
for old in "$here"/venv-*; do
  [ "$old" != "$venv" ] || continue
  grep -qsF "$old/" /proc/[0-9]*/cmdline || rm -rf "$old"
done

systemd-sysusers "$prefix/lib/sysusers.d/fenster.conf"
# The first free range of 65536 above what others have (subuid(5)): each desktop's process gets one of them.
for file in /etc/subuid /etc/subgid; do
  touch "$file"
  grep -q '^fenster:' "$file" || awk -F : -v file="$file" '
    $2 + $3 > end { end = $2 + $3 }
    END { if (end < 100000) end = 100000; printf "fenster:%d:65536\n", end >> file }' "$file"
done
chown root:fenster /etc/fenster /etc/fenster/fenster.toml
chmod 0750 /etc/fenster
chmod 0640 /etc/fenster/fenster.toml
systemd-tmpfiles --create "$prefix/lib/tmpfiles.d/fenster.conf"
