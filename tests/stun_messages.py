"""STUN messages for the relay's tests, built by aioice and not by the code under test."""

from __future__ import annotations

from aioice import stun

__all__ = ["binding_request", "binding_response"]


def binding_request(ufrag: str, pwd: str, *, sender: str = "sender", transaction: bytes = b"t" * 12) -> bytes:
    """A binding request as a browser sends it to the peer ``ufrag``: signed with that peer's ``pwd``."""
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, transaction)
    message.attributes["USERNAME"] = f"{ufrag}:{sender}"
    message.attributes["PRIORITY"] = 1853817087
    message.add_message_integrity(pwd.encode())
    message.add_fingerprint()
    return bytes(message)


def binding_response(pwd: str, *, transaction: bytes = b"t" * 12) -> bytes:
    message = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, transaction)
    message.attributes["XOR-MAPPED-ADDRESS"] = ("127.0.0.1", 9)
    message.add_message_integrity(pwd.encode())
    message.add_fingerprint()
    return bytes(message)
