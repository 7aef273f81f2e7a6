"""What `fenster doctor` says of rights: taps, namespaces, subordinate ids, limits. All of it blocks."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from gateway.cli.finding import Finding, Grade
from gateway.netns.userns import can_make_namespaces, mend_of_user_namespaces
from gateway.vm.cgroup import Cgroups, unified_mount
from gateway.vm.uids import FEWER_UIDS

__all__ = ["look_at_limits", "look_at_namespaces", "look_at_subordinate_ids", "look_at_taps", "subordinate_ids"]

TUN = Path("/dev/net/tun")
ENOUGH_IDS = 65536
"""A Debian tree's files belong to uids up to 65534."""


def look_at_taps(device: Path = TUN) -> Finding:
    if os.access(device, os.R_OK | os.W_OK):
        return Finding("taps", Grade.OK, f"{device} can be opened")
    if not device.exists():
        return Finding("taps", Grade.FAIL, f"there is no {device}", "sudo modprobe tun")
    rule = '\'KERNEL=="tun", MODE="0666"\''
    return Finding(
        "taps", Grade.FAIL, f"{device} cannot be opened by this user",
        f"sudo chmod 0666 {device}; echo {rule} | sudo tee /etc/udev/rules.d/60-tun.rules",
    )  # fmt: skip


def look_at_namespaces() -> Finding:
    if can_make_namespaces():
        return Finding("namespaces", Grade.OK, "this user may make them")
    unshare = shutil.which("unshare")
    if unshare is None:
        return Finding("namespaces", Grade.FAIL, "unshare is not on the PATH", "sudo apt-get install util-linux")
    command = [unshare, "--user", "--map-root-user", "--net", "--", "true"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return Finding("namespaces", Grade.OK, "in a user namespace of the gateway's own")
    words = tried.stderr.strip()
    return Finding("namespaces", Grade.FAIL, f"no user namespaces: {words}", mend_of_user_namespaces())


def look_at_subordinate_ids(
    uid: int | None = None, subuid: Path = Path("/etc/subuid"), subgid: Path = Path("/etc/subgid")
) -> Finding | None:
    """None for root, who needs none."""
    uid = os.geteuid() if uid is None else uid
    if uid == 0:
        return None
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    least = min(subordinate_ids(_text(path), user, uid) for path in (subuid, subgid))
    without = "no image can be built, and all VMs run as this user"
    if least < ENOUGH_IDS:
        return Finding(
            "subordinate ids", Grade.WARN, f"{user} has {least} of {ENOUGH_IDS}: {without}",
            f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}",
        )  # fmt: skip
    if shutil.which("newuidmap") is None:
        return Finding(
            "subordinate ids", Grade.WARN, f"newuidmap is not there: {without}", "sudo apt-get install uidmap"
        )
    return Finding("subordinate ids", Grade.OK, f"{user} has {least}; each VM gets one of {len(FEWER_UIDS)}")


def subordinate_ids(text: str, user: str, uid: int) -> int:
    """How many ids the longest range of this user has, in a text like /etc/subuid (subuid(5))."""
    rows = [line.strip().split(":") for line in text.splitlines()]
    return max((int(row[2]) for row in rows if len(row) == 3 and row[0] in (user, str(uid))), default=0)


def look_at_limits(named: str = "") -> Finding:
    """By trying; but a cgroup that the settings name takes processes from services only, and is looked at."""
    if named:
        return _look_at_cgroup(named)
    cgroups = Cgroups.open()
    held = ", ".join(cgroups.controllers)
    if not cgroups.why:
        return Finding("limits", Grade.OK, f"each machine has a cgroup: {held}")
    return Finding(
        "limits", Grade.WARN, f"{cgroups.why}; cgroups bound {held or 'nothing'}, resource limits the rest they can",
        "use cgroup v2 (systemd.unified_cgroup_hierarchy=1), and Delegate=yes for the gateway's unit",
    )  # fmt: skip


def _look_at_cgroup(named: str) -> Finding:
    mount = unified_mount(_text(Path("/proc/self/mountinfo")))
    held = _text(mount / named.strip("/") / "cgroup.subtree_control").split() if mount is not None else []
    if not held:
        return Finding(
            "limits", Grade.WARN, f"{named} hands down no controllers", "sudo systemctl start fenster-vms.service"
        )
    return Finding("limits", Grade.OK, f"each machine has a cgroup in {named}: {', '.join(held)}")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
