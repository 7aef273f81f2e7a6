"""Exits at rest: sealed with a key that is not in the store's file, so that a copy of it alone tells no password."""

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


class Seal:
    """AES-256-GCM; what is sealed for one session opens for no other.

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
        nonce = secrets.token_bytes(NONCE_BYTES)
        text = json.dumps(out.reveal()).encode()
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, text, session.encode())).decode()

    def open(self, sealed: str, session: str) -> Exit:
        """No exit when it cannot be opened: a session that leaves by another way than its own would be worse."""
        if not sealed:
            return NO_EXIT
        try:
            data = base64.b64decode(sealed, validate=True)
            text = self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], session.encode())
            return Exit.model_validate_json(text)
        except (InvalidTag, ValidationError, ValueError):
            logger.error(
                "! the proxy of session %s cannot be read any more; it has no exit until one is set", session
            )
            return NO_EXIT
