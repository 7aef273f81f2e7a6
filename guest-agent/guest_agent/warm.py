"""Being watched by oneself once, so that the first viewer does not wait for code that has never run.

A machine of the warm pool has the time for it before it is parked. Under emulation the first handshake takes seconds,
since its code must be translated, and a later one a fraction of that; elsewhere its pages are at least in memory.
"""

from __future__ import annotations

import asyncio
import logging

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from guest_agent import ice, rtp
from guest_agent.media import MediaHub
from guest_agent.protocol.messages import Channel

__all__ = ["WARM_PEER", "warm"]

logger = logging.getLogger(__name__)

WARM_PEER = "warm"
"""Its name among the viewers."""


async def warm(hub: MediaHub, address: str, *, timeout_s: float) -> None:
    """Connect as a viewer, take one frame, and go.

    Args:
        address: of this machine, where the hub listens.
        timeout_s: for all of it.

    Raises:
        TimeoutError: no frame came.
        AgentError: the hub takes no viewer.
    """
    configuration = RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
    viewer = RTCPeerConnection(configuration)
    seen = asyncio.Event()
    watching: list[asyncio.Task[None]] = []

    @viewer.on("track")
    def on_track(track: MediaStreamTrack) -> None:
        watching.append(asyncio.create_task(_first_frame(track, seen), name="warm"))

    try:
        async with asyncio.timeout(timeout_s):
            video = viewer.addTransceiver("video", direction="recvonly")
            for channel in Channel:
                viewer.createDataChannel(channel.value)
            await ice.gather_on(rtp.ice_connection(video), address)
            await viewer.setLocalDescription(await viewer.createOffer())
            answer = await hub.offer(WARM_PEER, viewer.localDescription.sdp, "view")
            await viewer.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
            await seen.wait()
    finally:
        await hub.bye(WARM_PEER)
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await viewer.close()


async def _first_frame(track: MediaStreamTrack, seen: asyncio.Event) -> None:
    try:
        await track.recv()
        seen.set()
    except MediaStreamError:
        logger.debug("! the warming stream ended")
