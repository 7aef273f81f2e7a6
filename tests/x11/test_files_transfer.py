"""Files through the whole gateway into a real desktop's home: large ones, broken-off ones, a full disk."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e.guest import eventually
from tests.x11.desktops import Desktop, process_desktop

pytestmark = [pytest.mark.x11, pytest.mark.timeout(170), pytest.mark.asyncio(loop_scope="module")]

MIB = 1 << 20
SIZE = 100 * MIB
MOST_MEMORY_BYTES = 12 * MIB
"""What gateway and this test's client hold at most; the file is many times larger."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desktop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desktop]:
    async with process_desktop(tmp_path_factory.mktemp("state")) as desktop:
        yield desktop


def pattern(at: int) -> bytes:
    """A mebibyte that is like no other."""
    return hashlib.sha256(str(at).encode()).digest() * (MIB // 32)


async def body(mebibytes: int) -> AsyncIterator[bytes]:
    for at in range(mebibytes):
        yield pattern(at)


async def home(desktop: Desktop) -> set[str]:
    return set((await desktop.run('ls -A "$HOME"')).split())


async def test_100_mib_go_up_and_come_down_whole_and_are_never_held(desktop: Desktop) -> None:
    digest = hashlib.sha256()
    for at in range(SIZE // MIB):
        digest.update(pattern(at))
    url = desktop.url("/files/Downloads/large.bin")
    tracemalloc.start()
    try:
        headers = {"Content-Length": str(SIZE)}
        async with desktop.http.put(url, data=body(SIZE // MIB), headers=headers) as answer:
            assert answer.status == 201, await answer.text()
        there = await desktop.run('sha256sum "$HOME/Downloads/large.bin"')
        assert there.split()[0] == digest.hexdigest()

        found = hashlib.sha256()
        async with desktop.http.get(url) as answer:
            assert (answer.status, answer.content_length) == (200, SIZE)
            async for part in answer.content.iter_chunked(65536):
                found.update(part)
        assert found.hexdigest() == digest.hexdigest()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    print(f"\npeak of gateway and client: {peak / MIB:.1f} MiB")
    assert peak < MOST_MEMORY_BYTES
    assert (await desktop.http.delete(url)).status == 204


async def test_a_slow_reader_holds_nothing_up_and_is_held_up_itself(desktop: Desktop, tmp_path: Path) -> None:
    """Nobody reads; what is read meanwhile from the guest stays within the buffers, and others go on."""
    url = desktop.url("/files/Downloads/slow.bin")
    async with desktop.http.put(url, data=body(20), headers={"Content-Length": str(20 * MIB)}) as answer:
        assert answer.status == 201
    async with desktop.http.get(url) as stuck:
        assert stuck.status == 200
        async with desktop.http.get(url, headers={"Range": "bytes=0-31"}) as answer:
            assert await answer.read() == pattern(0)[:32]
        sent = await desktop.run("ss -Htn state established '( sport = :5902 )' | wc -l")
        assert int(sent) == 1
    assert (await desktop.http.delete(url)).status == 204


async def test_an_upload_that_breaks_off_leaves_nothing(desktop: Desktop) -> None:
    before = await home(desktop)
    reached = asyncio.Event()

    async def half() -> AsyncIterator[bytes]:
        yield pattern(0)
        reached.set()
        await asyncio.Event().wait()

    url = desktop.url("/files/broken.bin")
    sending = asyncio.create_task(desktop.http.put(url, data=half(), headers={"Content-Length": str(2 * MIB)}))
    await reached.wait()
    sending.cancel()
    await asyncio.wait({sending})

    async def let_go() -> bool | None:
        return (await desktop.run("ss -Htn state established '( sport = :5902 )' | wc -l")).strip() == "0" or None

    await eventually(let_go, "the service lets go of it")
    assert await home(desktop) == before


async def test_a_full_disk_says_so_and_keeps_what_was_there(desktop: Desktop) -> None:
    await desktop.run('mkdir "$HOME/small" && mount -t tmpfs -o size=8m tmpfs "$HOME/small"', root=True)
    url = desktop.url("/files/small/file")
    async with desktop.http.put(url, data=pattern(0)) as answer:
        assert answer.status == 201
    # Said beforehand, and found out on the way: the disk fills up while the file comes.
    async with desktop.http.put(url, data=body(20), headers={"Content-Length": str(20 * MIB)}) as answer:
        assert (answer.status, (await answer.json())["type"]) == (507, "urn:fenster:guest-disk-full")

    async def while_it_fills() -> AsyncIterator[bytes]:
        yield pattern(0)
        await desktop.run('dd if=/dev/zero of="$HOME/small/filler" bs=1M count=5 2>/dev/null')
        for at in range(1, 5):
            yield pattern(at)

    async with desktop.http.put(url, data=while_it_fills(), headers={"Content-Length": str(5 * MIB)}) as answer:
        assert (answer.status, (await answer.json())["type"]) == (507, "urn:fenster:guest-disk-full")
    async with desktop.http.get(url) as answer:
        assert await answer.read() == pattern(0)
    assert (await desktop.run('ls -A "$HOME/small"')).split() == ["file", "filler"]


async def test_a_service_that_was_killed_has_left_no_part_of_a_file(desktop: Desktop) -> None:
    before = await home(desktop)
    reached = asyncio.Event()

    async def half() -> AsyncIterator[bytes]:
        yield pattern(0)
        reached.set()
        await asyncio.Event().wait()

    url = desktop.url("/files/killed.bin")
    sending = asyncio.create_task(desktop.http.put(url, data=half(), headers={"Content-Length": str(2 * MIB)}))
    await reached.wait()
    await desktop.run("pkill -KILL -f [g]uest_agent.fileserver")
    # It answers while a body is still to come, and then hangs up.
    with contextlib.suppress(aiohttp.ClientError):
        assert (await sending).status == 502
    assert await home(desktop) == before

    async def again() -> bool | None:
        async with desktop.http.get(desktop.url("/files/")) as answer:
            return answer.status == 200 or None

    await eventually(again, "the service is there again")
