"""cp: a file to a desktop, or back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from gateway.cli import options
from gateway.cli.client import Client
from gateway.cli.output import emit, notes
from gateway.cli.reach import reach
from gateway.errors import GatewayError

__all__ = ["cp", "parse_place"]

CHUNK_BYTES = 256 * 1024
_PLACE = re.compile(r"([a-z2-7]{8}):(.*)", re.DOTALL)
Tick = Callable[[int], object]
"""Told how many bytes more are through."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file on a desktop."""

    sid: str
    path: str
    """Below the desktop user's home; ends in "/" where it is a folder."""

    @property
    def url(self) -> str:
        return f"/v1/sessions/{self.sid}/files/{quote(self.path)}"


def parse_place(text: str) -> Place | None:
    """``ID:PATH``, from the desktop user's home; None for what names a file of this host. Raises GatewayError."""
    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    if ".." in found[2].split("/"):
        raise GatewayError("a desktop's path has no '..'", hint="it begins at its user's home, and stays below it")
    path = found[2].removeprefix("~/").removeprefix("/home/user/")
    return Place(found[1], "" if path in ("~", ".") else path)


def cp(
    source: Annotated[str, typer.Argument(help="A file; on a desktop it is ID:PATH, from its user's home.")],
    target: Annotated[str, typer.Argument(help="Where to; a folder takes the file's name. It is replaced.")],
    as_json: options.AsJson = False,
    url: options.Url = None,
    state_dir: options.StateDir = None,
    config: options.Config = None,
) -> None:
    """Copy a file to a desktop, or from one: fenster cp report.pdf ID:Downloads/"""
    there, back = parse_place(target), parse_place(source)
    if (there is None) == (back is None):
        raise typer.BadParameter("one of the two is on a desktop: ID:PATH")

    async def run() -> int:
        async with reach(url, state_dir, config) as api:
            with _progress(quiet=as_json) as begin:
                if there is not None:
                    return await _upload(api, Path(source), there, begin)
                assert back is not None
                return await _download(api, back, Path(target), begin)

    size = asyncio.run(run())
    if as_json:
        emit({"source": source, "target": target, "size": size})


Begin = Callable[[str, int], Tick]


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Begin]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=notes(), disable=quiet) as bars:

        def begin(name: str, size: int) -> Tick:
            task = bars.add_task(name, total=size)
            return lambda count: bars.advance(task, count)

        yield begin


async def _upload(api: Client, source: Path, target: Place, begin: Begin) -> int:
    if target.path == "" or target.path.endswith("/"):
        target = Place(target.sid, target.path + source.name)
    try:
        file = await asyncio.to_thread(source.open, "rb")
    except OSError as exc:
        raise GatewayError(f"cannot read {source}: {exc.strerror}") from exc
    with file:
        size = os.fstat(file.fileno()).st_size
        tick = begin(source.name, size)

        async def body() -> AsyncIterator[bytes]:
            while part := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield part
                tick(len(part))

        await api.send(target.url, body(), size)
    return size


async def _download(api: Client, source: Place, target: Path, begin: Begin) -> int:
    name = source.path.rpartition("/")[2]
    if not name:
        raise GatewayError("a folder cannot be copied as a whole", hint="name a file in it")
    if await asyncio.to_thread(target.is_dir):
        target = target / name
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    done = 0
    try:
        async with api.fetch(source.url) as (size, chunks):
            tick = begin(name, size)
            with await asyncio.to_thread(beside.open, "wb") as file:
                async for part in chunks:
                    await asyncio.to_thread(file.write, part)
                    done += len(part)
                    tick(len(part))
        await asyncio.to_thread(os.replace, beside, target)
    except OSError as exc:
        raise GatewayError(f"cannot write {target}: {exc.strerror}") from exc
    finally:
        with contextlib.suppress(FileNotFoundError):
            await asyncio.to_thread(beside.unlink)
    return done
