"""Every error the guest agent raises on purpose.

::

    AgentError
    ├── OfferError        the viewer's SDP cannot be answered (the caller's fault)
    ├── NotReady          something must come first: an identity, a display, an agent that runs
    ├── DisplayError      the X server is gone, or lacks an extension
    ├── EncoderError      the video encoder cannot be opened or failed
    ├── SoundError        the sound server cannot be recorded
    └── InjectionError    XTEST refused an event

Each carries a sentence and a ``hint`` that tells a person what to do. ``code`` is the JSON-RPC error code
with which the link answers (protocol/rpc.py).
"""

from __future__ import annotations

from guest_agent.protocol.rpc import INTERNAL_ERROR, INVALID_PARAMS, NOT_READY

__all__ = ["AgentError", "DisplayError", "EncoderError", "InjectionError", "NotReady", "OfferError", "SoundError"]


class AgentError(Exception):
    """Base of the tree.

    Args:
        message: one sentence on what happened.
        hint: what the person can do about it; empty when there is nothing to do.
    """

    code = INTERNAL_ERROR

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class OfferError(AgentError):
    code = INVALID_PARAMS


class NotReady(AgentError):
    code = NOT_READY


class DisplayError(AgentError):
    pass


class EncoderError(AgentError):
    pass


class SoundError(AgentError):
    pass


class InjectionError(AgentError):
    pass
