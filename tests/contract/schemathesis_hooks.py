"""What schemathesis does not know of media types: loaded by the program itself (test_schemathesis.py)."""

from __future__ import annotations

from typing import Any

import schemathesis

__all__: list[str] = []


@schemathesis.serializer("application/sdp", "image/png")
def as_it_is(ctx: schemathesis.SerializationContext, value: Any) -> bytes:
    """Strings and bytes are sent as they are; of anything else, which is no body of these, its text."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@schemathesis.deserializer("application/octet-stream", "application/sdp", "image/png", "image/jpeg")
def as_bytes(ctx: schemathesis.DeserializationContext, response: schemathesis.Response) -> Any:
    """The document says nothing of what is in them."""
    return response.content.decode("latin-1")
