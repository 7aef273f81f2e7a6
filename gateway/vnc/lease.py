"""How long what a viewer holds stays down without a sign of its life. Pure: time is an argument (s, monotonic).

A WebSocket outlives the page behind it: pings to a frozen tab are answered, by the browser, and a network that is cut
is noticed only by the ping that follows, after some 15 s. So our page sends an empty message, of no bytes of RFB,
twice a second while it controls (web/src/transport/vnc.ts). From the first of them on a viewer that is silent for a
lease loses what it holds; one that never sends any keeps it until its socket goes.
"""

from __future__ import annotations

from gateway.vnc.rfb import ClientFilter

__all__ = ["LEASE_S", "Lease"]

LEASE_S = 2.0
"""As WebRTC's (guest_agent/input/state.py)."""


class Lease:
    """Of one viewer, whose messages ``client`` filters."""

    def __init__(self, client: ClientFilter, lease_s: float = LEASE_S) -> None:
        self._client = client
        self._lease_s = lease_s
        self._beats = False
        self._heard_at = 0.0
        self.ended = 0
        """How often something was released."""

    def heard(self, data: bytes, now: float) -> None:
        """A message came, whatever it is: the viewer lives."""
        self._beats = self._beats or not data
        self._heard_at = now

    def deadline(self) -> float | None:
        """When :meth:`expire` has something to do, unless a message comes first."""
        return self._heard_at + self._lease_s if self._beats and self._client.holds else None

    def expire(self, now: float) -> bytes:
        """The messages that release what is held by now; none before the deadline."""
        deadline = self.deadline()
        if deadline is None or now < deadline:
            return b""
        self.ended += 1
        return self._client.release_all()
