"""Import directions (DESIGN 2), read from the sources, and the size of modules and functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {"gateway": ROOT / "gateway", "guest_agent": ROOT / "guest-agent/guest_agent", "golden": ROOT / "golden"}

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60

BASE = {"gateway", "gateway.errors"}
"""The package's own __init__ (its version), and the errors."""
CONTRACTS = BASE | {"gateway.vm.driver", "gateway.dataplane", "gateway.exits"}

MAY_IMPORT: dict[str, set[str]] = {
    "gateway.errors": set(),
    "gateway.exits": BASE,
    "gateway.dataplane": BASE | {"gateway.vm.driver", "gateway.exits"},
    "gateway.tokens": BASE,
    "gateway.tickets": BASE | {"gateway.tokens"},
    "gateway.origins": set(),
    "gateway.edge": BASE | {"gateway.tokens", "gateway.sessions.view"},
    "gateway.keyfiles": BASE | {"gateway.edge", "gateway.sessions.record"},
    "gateway.host": BASE,
    "gateway.demux": BASE | {"gateway.edge"},
    "gateway.log": BASE,
    "gateway.metrics": BASE | {"gateway.sessions.view"},
    "gateway.notify": BASE,
    "gateway.observe": BASE | {"gateway.dataplane", "gateway.metrics", "gateway.sessions"},
    "gateway.setting_types": {"gateway.edge", "gateway.origins"},
    "gateway.settings": BASE
    | {"gateway.exits", "gateway.host", "gateway.origins", "gateway.sessions.record", "gateway.setting_types"},
    "gateway.sessions": CONTRACTS | {"guest_agent.protocol"},
    "gateway.vm": BASE | {"gateway.netns", "gateway.dataplane", "guest_agent.protocol"},
    "gateway.netns": CONTRACTS,
    "gateway.relay": CONTRACTS | {"gateway.netns"},
    "gateway.egress": BASE | {"gateway.exits", "gateway.netns"},
    "gateway.vnc": BASE | {"guest_agent.protocol"},
    "gateway.signaling": CONTRACTS | {"gateway.sessions", "gateway.relay", "guest_agent.protocol"},
    "gateway.guest_stream": BASE | {"guest_agent.protocol"},
    "gateway.local_dataplane": CONTRACTS | {"gateway.netns", "gateway.relay", "gateway.egress"},
    "gateway.plane": CONTRACTS
    | {"gateway.local_dataplane", "gateway.netns", "gateway.relay", "gateway.egress", "gateway.host"},
    "gateway.routes": CONTRACTS
    | {
        "gateway.sessions",
        "gateway.signaling",
        "gateway.vnc",
        "gateway.tokens",
        "gateway.tickets",
        "gateway.origins",
        "gateway.keyfiles",
        "gateway.edge",
        "gateway.metrics",
        "gateway.guest_stream",
        "guest_agent.protocol",
    },
    "gateway.verify": CONTRACTS | {"gateway.sessions", "guest_agent.protocol"},
    "gateway.bench": {"gateway.sessions", "gateway.errors"},
    "gateway.probe": BASE | {"gateway.bench", "guest_agent.protocol"},
    "gateway.door": BASE | {"gateway.demux", "gateway.edge", "gateway.host", "gateway.routes", "gateway.settings"},
    "gateway.app": {"gateway", "golden"},
    "gateway.cli": {"gateway", "golden"},
    "guest_agent.protocol": set(),
    "guest_agent": {"guest_agent"},
    "golden": {"golden"},
}
"""A part may import itself and these, each with all below it, but gateway and gateway.errors only themselves."""

EXACT = {"gateway", "gateway.errors"}

APP_IMPORTERS = {"gateway.cli"}
"""The composition root is started by the command line, and imported by nobody else."""

ONLY_IN: dict[str, set[str]] = {
    "aiohttp": {"gateway.routes", "gateway.door", "gateway.cli"},
    "qemu": {"gateway.vm"},
    "jwt": {"gateway.tokens"},
    "typer": {"gateway.cli", "golden"},
    "prometheus_client": {"gateway.metrics"},
    "h11": {"gateway.egress"},
}
"""Third-party packages that have one place."""

PURE = [
    "gateway/sessions/admission.py",
    "gateway/sessions/control.py",
    "gateway/sessions/expiry.py",
    "gateway/sessions/lifecycle.py",
    "gateway/tokens.py",
    "gateway/tickets.py",
    "gateway/origins.py",
    "gateway/setting_types.py",
    "gateway/plane/calls.py",
    "gateway/signaling/sdp.py",
    "gateway/signaling/advertise.py",
    "gateway/edge/addresses.py",
    "gateway/edge/apikeys.py",
    "gateway/edge/hosts.py",
    "gateway/edge/places.py",
    "gateway/edge/ratelimit.py",
    "gateway/edge/trail.py",
    "gateway/exits.py",
    "gateway/egress/account.py",
    "gateway/egress/decodo.py",
    "gateway/egress/http1.py",
    "gateway/egress/limits.py",
    "gateway/egress/pages.py",
    "gateway/egress/policy.py",
    "gateway/egress/socks5.py",
    "gateway/signaling/candidates.py",
    "gateway/relay/framing.py",
    "gateway/relay/stun.py",
    "gateway/relay/table.py",
    "gateway/vnc/rfb.py",
    "gateway/probe/clocks.py",
    "gateway/probe/limits.py",
    "gateway/probe/samples.py",
    "gateway/vm/argv.py",
    "guest-agent/guest_agent/protocol/codec.py",
    "guest-agent/guest_agent/protocol/rpc.py",
    "guest-agent/guest_agent/protocol/stream.py",
]
IO_MODULES = {"asyncio", "socket", "subprocess", "threading", "time", "os", "select"}

FILES = [
    (".".join((name, *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__"), path)
    for name, folder in SOURCES.items()
    for path in sorted(folder.rglob("*.py"))
]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            # "from gateway import app" names a module, "from gateway.errors import X" a thing in one.
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if any(module == whole for module, _ in FILES) else node.module


def within(module: str, part: str) -> bool:
    return module == part or module.startswith(part + ".")


def part_of(module: str) -> str:
    """The longest part of the table that the module belongs to."""
    return max((part for part in MAY_IMPORT if within(module, part)), key=len, default="")


def allowed(module: str, imported: str) -> bool:
    part = part_of(module)
    if within(imported, part):
        return True
    exact = EXACT - (EXACT if part in APP_IMPORTERS | {"gateway.app"} else set())
    return any(
        imported == target or (target not in exact and within(imported, target)) for target in MAY_IMPORT[part]
    )


@pytest.mark.parametrize(("module", "path"), FILES, ids=[module for module, _ in FILES])
def test_import_directions(module: str, path: Path) -> None:
    if module == "gateway":
        assert [name for name in imports(path) if within(name, "gateway")] == []
        return
    assert part_of(module), f"{module} belongs to no part: add it to MAY_IMPORT, or move it"
    ours = [name for name in imports(path) if any(within(name, root) for root in SOURCES)]
    assert [name for name in ours if not allowed(module, name)] == []
    if part_of(module) not in APP_IMPORTERS:
        assert not any(within(name, "gateway.app") for name in ours)


@pytest.mark.parametrize(("module", "path"), FILES, ids=[module for module, _ in FILES])
def test_third_party_packages_have_one_place(module: str, path: Path) -> None:
    for name in imports(path):
        for package, parts in ONLY_IN.items():
            if within(name, package):
                assert any(within(module, part) for part in parts), f"{module} imports {name}"


@pytest.mark.parametrize("path", PURE)
def test_pure_cores_do_no_io(path: str) -> None:
    assert {name.split(".")[0] for name in imports(ROOT / path)} & IO_MODULES == set()


def test_the_wire_protocol_needs_only_the_standard_library() -> None:
    for module, path in FILES:
        if within(module, "guest_agent.protocol"):
            outside = {name for name in imports(path) if not within(name, "guest_agent.protocol")}
            assert outside <= {
                "__future__",
                "json",
                "struct",
                "re",
                "sys",
                "pathlib",
                "enum",
                "dataclasses",
                "typing",
            } | {name for name in outside if name.startswith("collections")}


@pytest.mark.parametrize(("module", "path"), FILES, ids=[module for module, _ in FILES])
def test_sizes(module: str, path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_MODULE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, node.name


def test_the_checker_sees_what_is_wrong() -> None:
    assert allowed("gateway.sessions.session", "gateway.vm.driver")
    assert not allowed("gateway.sessions.session", "gateway.vm.qemu")
    assert not allowed("gateway.vnc.pump", "gateway.sessions.session")
    assert not allowed("gateway.relay.udp", "gateway.routes.api")
    assert not allowed("guest_agent.zygote", "gateway.errors")
    assert not allowed("gateway.signaling.whep", "gateway.app")
    assert allowed("gateway.cli.serve", "gateway.app")
