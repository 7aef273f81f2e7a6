"""Passwords at rest: sealed with a key that is not in the store's file, so that a copy of it alone tells none."""

from __future__ import annotations

import base64
import json
import logging
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import ValidationError

from gateway.exits import NO_EXIT, Exit

__all__ = ["Seal"]

logger = logging.getLogger(__name__)

NONCE_BYTES = 12
"""NIST SP 800-38D 8.2.2: drawn at random, for fewer than 2**32 seals by one key."""
_VNC = "vnc"
"""Told apart from an exit, so that neither opens in the other's place."""


class Seal:
    """AES-256-GCM; what is sealed for one session, and one use, opens for no other.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def fresh(cls) -> Seal:
        """With a key that nobody keeps."""
        return cls(AESGCM.generate_key(256))

    def close(self, out: Exit, session: str) -> str:
        """ "" for no exit."""
        if out == NO_EXIT:
            return ""
        return self._close(json.dumps(out.reveal()), session)

    def open(self, sealed: str, session: str) -> Exit:
        """No exit when it cannot be opened: a session that leaves by another way than its own would be worse."""
        if not sealed:
            return NO_EXIT
        try:
            return Exit.model_validate_json(self._open(sealed, session))
        except (InvalidTag, ValidationError, ValueError):
            logger.error(
                "! the proxy of session %s cannot be read any more; it has no exit until one is set", session
            )
            return NO_EXIT

    def close_vnc(self, password: str, session: str) -> str:
        """The session's VNC password."""
        return self._close(password, f"{session} {_VNC}")

    def open_vnc(self, sealed: str, session: str) -> str:
        """ "" when it cannot be opened: noVNC waits for the desktop's next start, which gives it another."""
        try:
            return self._open(sealed, f"{session} {_VNC}")
        except (InvalidTag, ValueError):
            logger.error("! the VNC password of session %s cannot be read; its next start makes another", session)
            return ""

    def _close(self, text: str, what_for: str) -> str:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), what_for.encode())).decode()

    def _open(self, sealed: str, what_for: str) -> str:
        """Raises InvalidTag, ValueError."""
        data = base64.b64decode(sealed, validate=True)
        return self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], what_for.encode()).decode()
