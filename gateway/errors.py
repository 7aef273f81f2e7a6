"""Every error the gateway raises on purpose.

::

    GatewayError
    ├── ConfigError              a setting is wrong (start-up; names the key)
    ├── RequestError             the caller's fault
    │   ├── BadRequest
    │   ├── Unauthorized         no credential, or one that does not verify
    │   ├── Forbidden            a good credential for something else
    │   ├── NotFound
    │   ├── Conflict             the session is in the wrong state
    │   ├── TooLarge
    │   ├── LengthRequired       a body whose size is not said beforehand
    │   ├── AlreadyThere         a file that was to be made has its name taken
    │   ├── BadRange             a part of a file that it does not have
    │   ├── UnsupportedMedia     a body of another type than the call takes
    │   ├── Misdirected          for a host that this gateway is not
    │   ├── TooSlow              a body that does not come
    │   ├── RateLimited          too often in a short time
    │   └── QuotaReached         its owner has all that it may have
    ├── CapacityError            this host has no room (503, with a reason)
    ├── VmError                  the machine's fault, or the host's
    │   ├── VmUnavailable        this host cannot run this driver
    │   ├── ImageError           golden image missing, corrupt or foreign
    │   ├── SnapshotError        the same of a snapshot, or it could not be made or restored
    │   ├── DiskError            no space, or a file that cannot be written
    │   ├── VmBootFailed         started, never said hello (kernel panic, silent agent)
    │   └── VmLost               it ran and its process ended
    ├── NetnsError               a namespace, tap or socket inside one
    ├── FramingError             a viewer's TCP stream is not what RFC 4571 says
    ├── LinkError                the agent link
    │   ├── LinkTimeout          no answer in time
    │   ├── LinkClosed           the port is gone
    │   └── GuestError           the guest answered with an error
    ├── GuestServiceError        a service in the guest (files, clipboard) is away, or failed
    ├── GuestDiskFull            the desktop's own disk has no room
    ├── EgressError              a guest's request does not reach the internet
    │   ├── ProxyRequestError    it is no request that a proxy can serve
    │   ├── TargetForbidden      policy forbids its target
    │   ├── NoExit               the session has no exit
    │   ├── EgressLimited        a limit of the session is reached
    │   ├── UpstreamDown         the upstream cannot be reached, or fails
    │   ├── UpstreamAuthFailed   it does not take our credentials
    │   ├── UpstreamSlow         it does not answer in time
    │   ├── UpstreamCut          it ended the connection early
    │   └── TargetUnreachable    it is well, and did not get through to the target
    ├── StoreError               sessions cannot be written down
    └── VncError                 x11vnc refused, or spoke nonsense

Each carries ``kind`` (stable, machine-readable), a sentence, and a ``hint`` that tells a person what to
do. ``STATUS`` is the one table from kind to HTTP status; routes never invent codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

__all__ = [
    "STATUS",
    "AlreadyThere",
    "BadRange",
    "BadRequest",
    "CapacityError",
    "ConfigError",
    "Conflict",
    "DiskError",
    "EgressError",
    "EgressLimited",
    "Forbidden",
    "FramingError",
    "GatewayError",
    "GuestDiskFull",
    "GuestError",
    "GuestServiceError",
    "ImageError",
    "LengthRequired",
    "LinkClosed",
    "LinkError",
    "LinkTimeout",
    "Misdirected",
    "NetnsError",
    "NoExit",
    "NotFound",
    "ProxyRequestError",
    "QuotaReached",
    "RateLimited",
    "RequestError",
    "SnapshotError",
    "StoreError",
    "TargetForbidden",
    "TargetUnreachable",
    "TooLarge",
    "TooSlow",
    "Unauthorized",
    "UnsupportedMedia",
    "UpstreamAuthFailed",
    "UpstreamCut",
    "UpstreamDown",
    "UpstreamSlow",
    "VmBootFailed",
    "VmError",
    "VmLost",
    "VmUnavailable",
    "VncError",
]


class GatewayError(Exception):
    """Base of the tree.

    Args:
        message: one sentence on what happened, safe to show to the API's caller.
        hint: what the person can do about it; empty when there is nothing to do.
    """

    kind = "internal"
    headers: Mapping[str, str] = {}
    """More of them for the answer."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(GatewayError):
    kind = "config"


class RequestError(GatewayError):
    kind = "bad-request"


class BadRequest(RequestError):
    kind = "bad-request"


class Unauthorized(RequestError):
    kind = "unauthorized"


class Forbidden(RequestError):
    kind = "forbidden"


class NotFound(RequestError):
    kind = "not-found"


class Conflict(RequestError):
    kind = "conflict"


class TooLarge(RequestError):
    kind = "too-large"


class LengthRequired(RequestError):
    kind = "length-required"


class AlreadyThere(RequestError):
    kind = "already-there"


class BadRange(RequestError):
    """``size`` is the whole file's, in bytes."""

    kind = "range"

    def __init__(self, message: str, *, size: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.size = size
        # RFC 9110 14.4
        self.headers = {"Content-Range": f"bytes */{size}"}


class UnsupportedMedia(RequestError):
    kind = "unsupported-media"


class Misdirected(RequestError):
    kind = "misdirected"


class TooSlow(RequestError):
    kind = "too-slow"


class RateLimited(RequestError):
    """``retry_after_s`` is rounded up to whole seconds (RFC 9110 10.2.3)."""

    kind = "rate-limited"

    def __init__(self, message: str, *, retry_after_s: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.headers = {"Retry-After": str(max(1, ceil(retry_after_s)))}


class QuotaReached(RequestError):
    kind = "quota"


class CapacityError(GatewayError):
    kind = "capacity"


class VmError(GatewayError):
    kind = "vm"


class VmUnavailable(VmError):
    kind = "vm-unavailable"


class ImageError(VmError):
    kind = "image"


class SnapshotError(VmError):
    kind = "snapshot"


class DiskError(VmError):
    kind = "disk"


class VmBootFailed(VmError):
    kind = "boot-failed"


class VmLost(VmError):
    kind = "vm-lost"


class NetnsError(GatewayError):
    kind = "netns"


class FramingError(GatewayError):
    kind = "framing"


class LinkError(GatewayError):
    kind = "agent-link"


class LinkTimeout(LinkError):
    kind = "agent-silent"


class LinkClosed(LinkError):
    kind = "agent-gone"


class GuestError(LinkError):
    """The guest's own error answer; ``code`` is the JSON-RPC error code."""

    kind = "guest-error"

    def __init__(self, message: str, *, code: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class GuestServiceError(GatewayError):
    kind = "guest-service"


class GuestDiskFull(GatewayError):
    kind = "guest-disk-full"


class EgressError(GatewayError):
    """``blames_exit``: the session's exit is at fault, and not what was asked of it."""

    kind = "egress"
    blames_exit = False


class ProxyRequestError(EgressError):
    kind = "proxy-request"


class TargetForbidden(EgressError):
    kind = "target-forbidden"


class NoExit(EgressError):
    kind = "no-exit"


class EgressLimited(EgressError):
    kind = "egress-limited"


class UpstreamDown(EgressError):
    kind = "upstream-down"
    blames_exit = True


class UpstreamAuthFailed(EgressError):
    kind = "upstream-auth"
    blames_exit = True


class UpstreamSlow(EgressError):
    kind = "upstream-slow"
    blames_exit = True


class UpstreamCut(EgressError):
    kind = "upstream-cut"
    blames_exit = True


class TargetUnreachable(EgressError):
    kind = "target-unreachable"


class StoreError(GatewayError):
    kind = "store"


class VncError(GatewayError):
    kind = "vnc"


STATUS: dict[str, int] = {
    "internal": 500,
    "config": 500,
    "bad-request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not-found": 404,
    "conflict": 409,
    "length-required": 411,
    "already-there": 412,
    "too-slow": 408,
    "too-large": 413,
    "unsupported-media": 415,
    "range": 416,
    "misdirected": 421,
    "rate-limited": 429,
    "quota": 429,
    "capacity": 503,
    "vm": 500,
    "vm-unavailable": 503,
    "image": 503,
    "snapshot": 503,
    "disk": 507,
    "boot-failed": 502,
    "vm-lost": 502,
    "netns": 500,
    "framing": 400,
    "agent-link": 502,
    "agent-silent": 504,
    "agent-gone": 502,
    "guest-error": 502,
    "guest-service": 502,
    "guest-disk-full": 507,
    "egress": 502,
    "proxy-request": 400,
    "target-forbidden": 403,
    "no-exit": 503,
    "egress-limited": 503,
    "upstream-down": 502,
    "upstream-auth": 502,
    "upstream-slow": 504,
    "upstream-cut": 502,
    "target-unreachable": 502,
    "store": 507,
    "vnc": 502,
}
