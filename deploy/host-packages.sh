#!/bin/sh
# Check the Debian packages that a make target needs; install them when root (or passwordless sudo) allows,
# else print the command that does.
#
#   host-packages.sh GROUP...      groups: python run build test
#
# Debian 12 has QEMU 7.2, which must open the golden RAM writable; there, QEMU and e2fsprogs come from
# bookworm-backports, added as a source of its own beside the host's and from the same mirror.
set -eu

. "${OS_RELEASE:-/etc/os-release}"
case "${ID:-}:${VERSION_ID:-}" in
  debian:12) backports=bookworm-backports ;;
  *) backports= ;;
esac

packages() {
  case "$1" in
    python) echo "python3-venv" ;;
    run) echo "qemu-system-x86 iproute2 util-linux" ;;
    build) echo "mmdebstrap zstd e2fsprogs uidmap debian-archive-keyring" ;;
    test) echo "chromium firefox-esr nftables tinyproxy-bin microsocks squid openssl curl git xserver-xorg-core \
xserver-xorg-video-dummy x11-xkb-utils xkb-data x11vnc xclip xsel openbox xfce4-terminal dbus-x11 x11-utils xauth \
procps systemd systemd-container fonts-dejavu-core libyuv0 pipewire wireplumber pulseaudio-utils" ;;
    *) echo "unknown group: $1" >&2; exit 2 ;;
  esac
}

missing=
for group in "$@"; do
  for package in $(packages "$group"); do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
  done
done

qemu_too_old() {
  case " $* " in *" run "*) ;; *) return 1 ;; esac
  version=$(dpkg-query -W -f '${Version}' qemu-system-x86 2>/dev/null || echo 0)
  dpkg --compare-versions "$version" lt 1:8.2
}
if [ -n "$backports" ] && qemu_too_old "$@"; then
  case "$missing" in *qemu-system-x86*) ;; *) missing="$missing qemu-system-x86" ;; esac
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then as_root=
elif sudo -n true 2>/dev/null; then as_root="sudo -n"
else as_root=none
fi

target=
case "$missing" in *qemu-system-x86*) [ -z "$backports" ] || target=$backports ;; esac

if [ "$as_root" = none ]; then
  echo "Missing Debian packages:$missing" >&2
  echo "Install them, then run make again:" >&2
  [ -z "$target" ] || echo "  (add the $backports suite to your apt sources first: QEMU 8.2 or newer is needed)" >&2
  echo "  sudo apt-get install --no-install-recommends${target:+ -t $target}$missing" >&2
  exit 1
fi

echo "Installing Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q
if [ -n "$target" ]; then
  mirror=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' \
    | awk '$1 == "Debian" && $2 == "bookworm" { print $3; exit }')
  echo "Adding the suite $backports for QEMU (Debian 12 has 7.2; 8.2 or newer is needed)"
  echo "deb $mirror $backports main" | $as_root tee /etc/apt/sources.list.d/fenster-backports.list >/dev/null
  $as_root apt-get update -q
  # shellcheck disable=SC2086
  $as_root apt-get install -y -q --no-install-recommends -t "$target" qemu-system-x86
  missing=$(echo "$missing" | sed 's/qemu-system-x86//')
fi
# Tests run a squid of their own; the package's would serve on port 3128 of this host.
case "$missing" in *squid*) $as_root systemctl mask squid.service 2>/dev/null || true ;; esac
# shellcheck disable=SC2086
$as_root apt-get install -y -q --no-install-recommends $missing
