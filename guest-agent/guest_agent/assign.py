"""Give the guest its session: environment, proxy, VNC password, clock."""

from __future__ import annotations

import shlex
from pathlib import Path

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from guest_agent.files import write_atomic
from guest_agent.identity import set_clock
from guest_agent.place import settle
from guest_agent.requests import Assignment

__all__ = ["SESSION_FILE", "VNC_PASSWORD_FILE", "assign", "environment", "obfuscate", "variables"]

VNC_PASSWORD_FILE = "fenster/vnc.passwd"
"""Below etc; what x11vnc's -rfbauth names. x11vnc reads it at every connection."""
SESSION_FILE = "fenster/session"
"""Below etc; written last. What may start only in a guest that is somebody's waits for it (fenster-chromium.path)."""
NO_PROXY = "localhost,127.0.0.1,::1"
VNC_KEY = bytes.fromhex("e84ad660c4721ae0")
"""The fixed key of VNC password files, each byte with its bits mirrored, which is how VncAuth uses DES."""


def assign(assignment: Assignment, etc: Path) -> dict[str, str]:
    """Write the session's files and set the clock. Returns what was skipped, and why. Raises OSError."""
    values = variables(assignment)
    write_atomic(etc / "environment", environment(values).encode(), 0o644)
    write_atomic(etc / "profile.d" / "decodo-proxy.sh", profile(values).encode(), 0o644)
    write_atomic(etc / VNC_PASSWORD_FILE, obfuscate(assignment.vnc_password), 0o600)
    skipped = set_clock(assignment.epoch_ns, etc) | settle(assignment.place, etc)
    write_atomic(etc / SESSION_FILE, f"{assignment.session_id}\n".encode(), 0o644)
    return skipped


def variables(assignment: Assignment) -> dict[str, str]:
    """What programs of the session find in their environment. Without a proxy the variables are empty, so that a
    shell that reads the file again forgets an earlier one."""
    proxy = assignment.proxy or ""
    spared = NO_PROXY if proxy else ""
    values = {"SESSION_ID": assignment.session_id}
    for name, value in (("HTTP_PROXY", proxy), ("HTTPS_PROXY", proxy), ("NO_PROXY", spared)):
        values[name] = value
        # curl takes the proxy of plain HTTP from the lower-case name alone.
        values[name.lower()] = value
    return values


def environment(values: dict[str, str]) -> str:
    """For pam_env(8) and systemd's EnvironmentFile= (systemd.exec(5)), whose common ground is KEY=value."""
    return "".join(f"{name}={value}\n" for name, value in values.items())


def profile(values: dict[str, str]) -> str:
    """For a shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def obfuscate(password: str) -> bytes:
    """The 8 bytes of a VNC password file: the password, cut or padded with zeros, under DES with a known key."""
    # Three times the same key makes triple DES single DES.
    encryptor = Cipher(TripleDES(VNC_KEY * 3), modes.ECB()).encryptor()
    return encryptor.update(password.encode("ascii")[:8].ljust(8, b"\0")) + encryptor.finalize()
