"""The `process` driver: the guest's programs as processes of this host. Development and benchmarks only.

The same X server, desktop, x11vnc and agent as in the golden image, in the same kind of network namespace, so
everything above the driver works unchanged. Nothing isolates them from the host's files: it says so, loudly.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import shutil
import signal
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from gateway.errors import NetnsError, VmBootFailed, VmUnavailable
from gateway.vm.driver import AgentLink, Command, Facts, Lan, StageFn, Vm, VmDriver, VmExit, VmSpec
from gateway.vm.find import processor_s
from gateway.vm.link import StreamLink
from gateway.vm.local_init import desktop_argv, x_server
from gateway.vm.local_sound import TOOLS as SOUND_TOOLS
from gateway.vm.process import Process, describe_exit
from gateway.vm.starts_only import StartsOnly
from gateway.vm.streams import listen_unix, open_guest_stream

__all__ = ["ProcessDriver", "ProcessVm"]

logger = logging.getLogger(__name__)

INIT_LOG = "init.log"
AGENT_CONNECT_S = 60.0
"""Until the zygote has connected: the X server comes first, and then many imports."""
END_S = 5.0
_KEEP = (".log",)
_TOOLS = ("x11vnc", "xfce4-terminal", "setxkbmap", "unshare", *SOUND_TOOLS)
_PACKAGES = (
    "xserver-xorg-core xserver-xorg-video-dummy x11-xkb-utils x11vnc openbox xfce4-terminal dbus "
    "libyuv0 pipewire wireplumber pulseaudio-utils"
)


class ProcessVm:
    """The processes of one desktop; made by ProcessDriver.start."""

    def __init__(self, spec: VmSpec, lan: Lan, process: Process, link: StreamLink) -> None:
        self.id = spec.id
        self.link: AgentLink = link
        self.process = process
        self._run_dir = spec.run_dir
        self._lan = lan
        self._stream_link = link
        self._stopping = False
        self._stopped = asyncio.Lock()
        self._exit: asyncio.Task[VmExit] = asyncio.create_task(self._watch(), name=f"vm-{spec.id}")

    async def dial(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await open_guest_stream(self._lan, port)

    async def wait(self) -> VmExit:
        return await asyncio.shield(self._exit)

    async def pause(self) -> None:
        raise VmUnavailable("the process driver cannot stop a desktop", hint="pool_size = 0 with it")

    async def resume(self) -> None:
        raise VmUnavailable("the process driver cannot stop a desktop")

    async def stop(self, grace_s: float = 2.0) -> None:
        self._stopping = True
        async with self._stopped:
            await _end(self.process)
            await asyncio.wait({self._exit})
            await self._stream_link.close()
            await asyncio.to_thread(_remove_files, self._run_dir)

    async def let_go(self) -> None:
        # Its processes die with the gateway (setpriv --pdeathsig).
        await self.stop()

    def processor_s(self) -> float:
        return processor_s(self.process.pid)

    async def _watch(self) -> VmExit:
        code = await self.process.wait()
        # The kernel ends what was inside a moment later, and until then it would still answer.
        await self._stream_link.close()
        if self._stopping:
            return VmExit(expected=True, reason="it was stopped")
        reason, hint = describe_exit("the process guest", code)
        # A status of its own means that it said why; a signal came from outside.
        words = await asyncio.to_thread(_last_words, self._run_dir) if code > 0 else ""
        return VmExit(expected=False, reason=words or reason, hint=hint or f"its logs are in {self._run_dir}")


class ProcessDriver(StartsOnly):
    """Starts desktops without a VM.

    Args:
        python: interpreter with the guest agent's packages.
        display: an X display (":7") that sessions share, in place of one of their own with a desktop. Benchmarks
            compare on it what others make of the same picture.
    """

    def __init__(self, python: str = sys.executable, display: str | None = None) -> None:
        self._python = python
        self._display = display

    async def check(self) -> Facts:
        missing = [name for name in _TOOLS if shutil.which(name) is None]
        missing += [] if x_server() else ["Xorg"]
        missing += [] if desktop_argv() else ["openbox"]
        if missing:
            raise VmUnavailable(f"the process driver lacks {', '.join(missing)}", hint=f"apt install {_PACKAGES}")
        if self._python == sys.executable and importlib.util.find_spec("aiortc") is None:
            raise VmUnavailable("the guest agent's packages are missing", hint="pip install fenster[agent]")
        return Facts(name="process", accelerator="none", why="the desktop runs WITHOUT a VM", isolated=False)

    async def start(self, spec: VmSpec, lan: Lan, stage: StageFn) -> Vm:
        logger.warning("! session %s runs WITHOUT a VM, with the rights of the gateway: development only", spec.id)
        await self.check()
        async with AsyncExitStack() as undo:
            undo.push_async_callback(asyncio.to_thread, _remove_files, spec.run_dir)
            await lan.open_loopback_guest()
            stage("disk")
            with listen_unix(spec.run_dir / "agent.sock") as listener:
                listener.setblocking(False)
                process = await self._spawn(spec, lan)
                undo.push_async_callback(_end, process)
                link = await self._accept(spec, listener, process)
            vm = ProcessVm(spec, lan, process, link)
            undo.push_async_callback(vm.stop, 0)
            stage("spawn")
            await asyncio.sleep(0)  # Where a cancellation that came meanwhile can still be undone.
            undo.pop_all()
            return vm

    async def _spawn(self, spec: VmSpec, lan: Lan) -> Process:
        width, height = spec.display_px
        argv = [
            "setpriv", "--pdeathsig=KILL", "--",
            # With an IPC namespace the shared memory of what is killed goes too; another's X server must share it.
            "unshare", *(() if self._display else ("--ipc",)),
            "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc", "--",
            self._python, "-m", "gateway.vm.local_init", str(spec.run_dir), f"{width}x{height}",
            *((self._display,) if self._display else ()),
        ]  # fmt: skip
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        log = os.open(spec.run_dir / INIT_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            popen = await lan.spawn(Command(argv, env=env, stdout=log, stderr=log))
        except NetnsError as exc:
            raise VmBootFailed(f"the process guest could not be started: {exc.message}", hint=exc.hint) from exc
        finally:
            os.close(log)
        return Process(popen, "the process guest")

    async def _accept(self, spec: VmSpec, listener: socket.socket, process: Process) -> StreamLink:
        """The zygote's connection, or the reason why there will be none."""
        loop = asyncio.get_running_loop()
        accepting = asyncio.create_task(loop.sock_accept(listener), name=f"accept-{spec.id}")
        ending = asyncio.create_task(process.wait(), name=f"ending-{spec.id}")
        try:
            await asyncio.wait({accepting, ending}, timeout=AGENT_CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
            if not accepting.done():
                words = await asyncio.to_thread(_last_words, spec.run_dir)
                raise VmBootFailed(words or "the guest agent did not connect", hint=f"see the logs in {spec.run_dir}")
            sock, _ = accepting.result()
        finally:
            accepting.cancel()
            ending.cancel()
            await asyncio.wait({accepting, ending})
        try:
            sock.setblocking(False)
            link = StreamLink(*await asyncio.open_unix_connection(sock=sock), name=spec.id)
        except BaseException:
            sock.close()
            raise
        link.start()
        return link


async def _end(process: Process) -> None:
    """Kill the first process inside; unshare(1) outside then ends when the kernel has ended all the others."""
    try:
        if process.returncode is None:
            _kill_children(process.pid)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await process.wait()
    finally:
        await process.stop(0)


def _kill_children(parent: int) -> None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            os.kill(int(pid), signal.SIGKILL)


def _last_words(run_dir: Path) -> str:
    try:
        lines = (run_dir / INIT_LOG).read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def _remove_files(run_dir: Path) -> None:
    """Everything in the run directory but its logs."""
    for entry in run_dir.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.suffix not in _KEEP:
            with contextlib.suppress(FileNotFoundError):
                entry.unlink()


_driver: type[VmDriver] = ProcessDriver
_vm: type[Vm] = ProcessVm
