"""What a build needs of this host, checked before anything is started."""

from __future__ import annotations

import os
import shutil
import ssl
from collections.abc import Mapping
from pathlib import Path

from golden.errors import HostError

__all__ = ["check_room", "check_tools", "find_ca", "missing_tools"]

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
TOOLS = {"mmdebstrap": "mmdebstrap", "zstd": "zstd", "tar": "tar", "mke2fs": "e2fsprogs"}
"""Program to Debian package."""
USER_TOOLS = {"unshare": "util-linux", "newuidmap": "uidmap"}
"""What an ordinary user needs besides."""
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def missing_tools(uid: int) -> list[str]:
    """Debian packages that a build by this user lacks, sorted; empty when it can start."""
    path = f"{os.environ.get('PATH', '')}:{_SBIN}"
    wanted = TOOLS if uid == 0 else TOOLS | USER_TOOLS
    missing = {package for program, package in wanted.items() if shutil.which(program, path=path) is None}
    if not KEYRING.exists():
        missing.add("debian-archive-keyring")
    return sorted(missing)


def check_tools(uid: int) -> None:
    """Raises HostError that names the packages to install."""
    if missing := missing_tools(uid):
        raise HostError(
            f"building the image needs {', '.join(missing)}", hint=f"sudo apt-get install {' '.join(missing)}"
        )


def check_room(folder: Path, need_mib: int) -> None:
    """Raises HostError when the file system of ``folder`` has too little free."""
    free_mib = shutil.disk_usage(folder).free >> 20
    if free_mib < need_mib:
        raise HostError(
            f"{folder} has {free_mib} MiB free; this step needs {need_mib} MiB",
            hint="free some space, or set XDG_CACHE_HOME to a larger file system",
        )


def find_ca(env: Mapping[str, str]) -> Path | None:
    """The bundle of certificates that this host trusts, for the package managers inside the tree."""
    usual = ssl.get_default_verify_paths().cafile
    for name in (env.get("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt", usual):
        if name and Path(name).is_file():
            return Path(name)
    return None
