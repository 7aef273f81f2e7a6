#!/bin/sh
# Install the package in a clean Debian tree and run it there; prints what it says. Run by test_package.py.
#
#   install.sh SUITE PACKAGE OUT      OUT: null to throw the tree away, or a folder to keep it in
set -eu

suite=$1 package=$2 out=$3
case $suite in bookworm) newer=bookworm-backports ;; *) newer=$suite ;; esac
case $out in null) format=null ;; *) format=directory ;; esac
[ "$(id -u)" = 0 ] && mode=root || mode=unshare

# As a person would: apt-get install ./fenster_….deb, with backports on Debian 12.
mmdebstrap -q --mode=$mode --variant=apt --format="$format" \
  --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io --include=ca-certificates \
  --customize-hook="sed -n 's/ $suite / $newer /p' \"\$1/etc/apt/sources.list\" > \"\$1/etc/apt/sources.list.d/newer.list\"" \
  --customize-hook="copy-in $package /root" \
  --customize-hook='chroot "$1" apt-get update -q' \
  --customize-hook="chroot \"\$1\" apt-get install -q -y --no-install-recommends -t $newer /root/$(basename "$package")" \
  --customize-hook='chroot "$1" sh -euc "out='"$format"'
    echo \"version: \$(fenster --version)\"
    echo \"config: \$(stat -c %a:%U:%G /etc/fenster/fenster.toml)\"
    echo \"ids: \$(grep -c ^fenster: /etc/subuid /etc/subgid | tr \"\\n\" \" \")\"
    echo \"enabled: \$(systemctl is-enabled fenster.service fenster-dataplane.service fenster-vms.service | tr \"\\n\" \" \")\"
    setpriv --reuid fenster --regid fenster --init-groups env HOME=/var/lib/fenster fenster doctor --json || :
    systemd-analyze verify --man=no fenster.service fenster-dataplane.service fenster-vms.service fenster-golden.timer
    echo units verified
    [ \$out != null ] || { apt-get purge -q -y fenster >/dev/null
      ls -d /usr/lib/fenster /etc/fenster /var/lib/fenster 2>/dev/null || echo nothing left; }
  "' \
  "$suite" "$([ "$out" = null ] && echo - || echo "$out")"
