"""VP8: libvpx with the interface of the other encoders, and its payloads as aiortc's depacketiser reads them."""

from __future__ import annotations

from typing import Any

import av
import pytest
from aiortc.codecs.vpx import VpxPayloadDescriptor
from hypothesis import given
from hypothesis import strategies as st

from guest_agent.convert import Picture
from guest_agent.encoders import open_encoder
from guest_agent.errors import EncoderError
from guest_agent.hardware import HardwareEncoder, find_hardware
from guest_agent.videocodec import Codec
from guest_agent.vp8 import Vp8Encoder, packetize_vp8
from tests.loopback.painted_screen import HEIGHT_PX, WIDTH_PX, paint_page

WIDTH, HEIGHT = 320, 192


def picture(level: int) -> Any:
    made = Picture(WIDTH, HEIGHT)
    made.array[:HEIGHT] = level
    return made.array


@given(st.binary(max_size=5000), st.integers(2, 1200))
def test_payloads_put_together_are_the_frame(unit: bytes, most: int) -> None:
    payloads = packetize_vp8(unit, most)
    assert all(len(payload) <= most for payload in payloads)
    parsed = [VpxPayloadDescriptor.parse(payload) for payload in payloads]
    assert b"".join(rest for _, rest in parsed) == unit
    assert [d.partition_start for d, _ in parsed] == [1] * bool(payloads) + [0] * (len(payloads) - 1)
    assert {d.partition_id for d, _ in parsed} <= {0}


def test_one_picture_in_one_frame_out_keyframes_when_asked_and_it_decodes() -> None:
    encoder = open_encoder(Codec.VP8, WIDTH, HEIGHT, max_bps=4_000_000, threads=1)
    decoder = av.CodecContext.create("vp8", "r")
    keys = []
    for i in range(20):
        unit, key = encoder.encode(picture(60 + 5 * i), i * 3000, key=i == 12)
        keys.append(key)
        (frame,) = decoder.decode(av.Packet(unit))
        assert isinstance(frame, av.VideoFrame)
        assert abs(float(frame.to_ndarray()[:HEIGHT].mean()) - 60 - 5 * i) < 3
    assert [i for i, key in enumerate(keys) if key] == [0, 12]


def test_a_small_change_of_the_rate_is_left_to_the_pacer() -> None:
    encoder = Vp8Encoder(WIDTH, HEIGHT, max_bps=4_000_000, threads=1, fps=30)
    assert encoder.retune(3_500_000)
    assert not encoder.retune(1_000_000)


@pytest.mark.parametrize("mbps", [10, 4])
def test_the_rate_holds_while_everything_changes(mbps: int) -> None:
    """Below about 3 Mb/s libvpx has no coarser picture of this; then the pacer makes fewer of them."""
    encoder = Vp8Encoder(WIDTH_PX, HEIGHT_PX, max_bps=mbps * 1_000_000, threads=1, fps=30)
    made = Picture(WIDTH_PX, HEIGHT_PX)
    sizes = []
    for i in range(60):
        made.array[:HEIGHT_PX] = paint_page(i, 97)
        sizes.append(len(encoder.encode(made.array, i * 3000, key=False)[0]))
    assert sum(sizes[30:]) * 8 < mbps * 1_000_000 * 1.3


def test_a_picture_of_another_size() -> None:
    with pytest.raises(EncoderError):
        Vp8Encoder(WIDTH, HEIGHT, max_bps=4_000_000, threads=1, fps=30).encode(
            Picture(WIDTH * 2, HEIGHT).array, 0, key=False
        )


@pytest.mark.parametrize(
    ("devices", "working", "setting", "found"),
    [
        (["/dev/nvidia[0-9]*", "/dev/dri/renderD*"], ["h264_nvenc", "h264_qsv"], "", "h264_nvenc"),
        (["/dev/nvidia[0-9]*", "/dev/dri/renderD*"], ["h264_qsv"], "", "h264_qsv"),
        (["/dev/dri/renderD*"], ["h264_nvenc", "h264_qsv"], "", "h264_qsv"),
        (["/dev/nvidia[0-9]*"], [], "", None),
        ([], ["h264_nvenc", "h264_qsv"], "", None),
        (["/dev/nvidia[0-9]*"], ["h264_nvenc"], "software", None),
    ],
)
def test_which_card_is_used(devices: list[str], working: list[str], setting: str, found: str | None) -> None:
    tried: list[str] = []

    def works(name: str) -> bool:
        tried.append(name)
        return name in working

    assert find_hardware(devices.__contains__, works, setting) == found
    if setting == "software" or not devices:
        assert tried == []


def test_a_card_that_opens_no_encoder_leaves_it_to_x264(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when all of its sessions are taken; here there is no card at all."""
    with pytest.raises(EncoderError, match="h264_nvenc"):
        HardwareEncoder("h264_nvenc", WIDTH, HEIGHT, max_bps=4_000_000, fps=30)
    monkeypatch.setattr("guest_agent.encoders.hardware_encoder", lambda: "h264_nvenc")
    encoder = open_encoder(Codec.H264, WIDTH, HEIGHT, max_bps=4_000_000, threads=1)
    unit, key = encoder.encode(picture(100), 0, key=True)
    assert key
    assert encoder.packetize(unit)
