"""What rtp.py and ice.py reach into aiortc and aioice for is still there, in the pinned versions."""

from __future__ import annotations

import pathlib
import time
import tomllib
from importlib.metadata import version

import aioice.ice
import aiortc.rtcsctptransport
import pytest
from aiortc import RTCPeerConnection

from guest_agent import ice, rtp, videosender
from guest_agent.errors import AgentError
from guest_agent.path import Path


@pytest.mark.parametrize("package", ["aiortc", "aioice", "av"])
def test_the_installed_version_is_the_pinned_one(package: str) -> None:
    project = tomllib.loads((pathlib.Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert f"{package}=={version(package)}" in project["project"]["optional-dependencies"]["agent"]


async def test_every_touched_name_exists() -> None:
    connection = RTCPeerConnection()
    transceiver = connection.addTransceiver("video", direction="sendonly")
    touched = [*rtp.touched_names(transceiver.sender, transceiver), *ice.touched_names()]
    assert len(touched) > 20
    missing = [name for owner, name in touched if not hasattr(owner, name)]
    assert missing == []
    await connection.close()


async def test_a_moved_name_is_an_error_and_not_a_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = RTCPeerConnection()
    transceiver = connection.addTransceiver("video", direction="sendonly")
    monkeypatch.setattr(videosender, "SENDER_ENCODER", "_RTCRtpSender__moved_away")
    with pytest.raises(AgentError, match="moved_away"):
        rtp.adapt_sender(transceiver.sender, Path(time.monotonic, lambda: None), on_keyframe=lambda: None)
    await connection.close()


def test_install_is_idempotent_and_sets_the_constants() -> None:
    rtp.install()
    rtp.install()
    ice.install()
    mended = aioice.ice.Connection.connect
    ice.install()
    assert aioice.ice.Connection.connect is mended
    assert aiortc.rtcsctptransport.SCTP_RTO_MIN == 0.2
    assert aiortc.rtcsctptransport.SCTP_RTO_INITIAL == 0.5
