"""The stages of a build as argument lists and environments. Pure.

========= ================================================ ==========================
stage     does                                             depends on
========= ================================================ ==========================
packages  mmdebstrap of the profile's Debian packages      suite, package lists
clis      npm install in that tree; a tar of what it added suite, pinned versions
venv      the agent's environment without the agent        suite, requirements
image     all three unpacked, overlay, agent, disk         everything
========= ================================================ ==========================

A changed agent or overlay leaves the first three in the cache.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from golden.sources import Inputs

__all__ = ["PASSED_ON", "Paths", "Stage", "environment", "stages", "userns_prefix"]

PASSED_ON = (
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "npm_config_registry",
)  # fmt: skip
"""How this host reaches the registries; nothing else of the caller's environment enters the build."""


UNPACK = """tar -C "$1" --zstd --exclude='./dev/*' -xf"""
"""Device nodes stay out: a user namespace cannot make them, and a guest's kernel makes its own."""


@dataclass(frozen=True, slots=True)
class Paths:
    """``cache`` is the root that the caller named; ``work`` is emptied at each start."""

    cache: Path

    @property
    def images(self) -> Path:
        return self.cache / "golden"

    @property
    def stages(self) -> Path:
        return self.cache / "stages"

    @property
    def work(self) -> Path:
        return self.cache / "work"

    @property
    def logs(self) -> Path:
        return self.cache / "logs"

    def stage(self, name: str, key: str) -> Path:
        return self.stages / f"{name}-{key}.tar.zst"

    def image(self, inputs: Inputs) -> Path:
        return self.images / f"{inputs.profile}-{inputs.image_key}"


@dataclass(frozen=True, slots=True)
class Stage:
    """One program run that makes ``result`` by writing ``partial``, which is renamed when the run succeeded."""

    name: str
    title: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    partial: Path
    result: Path
    room_mib: int
    """Free space that the stage needs at its peak, generously."""


def userns_prefix(uid: int) -> list[str]:
    """What gives an ordinary user a root of its own over its subordinate ids; nothing for root."""
    return [] if uid == 0 else ["unshare", "--user", "--map-auto", "--map-root-user", "--mount", "--"]


def environment(base: Mapping[str, str], work: Path) -> dict[str, str]:
    """The environment of every stage: the caller's way to the registries and nothing else of it."""
    fixed = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        # The kernel package would make a general initrd (initramfs-tools' kernel hook); initrd.py makes the one used.
        "INITRD": "No",
        "TMPDIR": str(work),
    }
    return fixed | {name: base[name] for name in PASSED_ON if name in base}


def stages(inputs: Inputs, paths: Paths, base_env: Mapping[str, str], *, uid: int, ca: Path | None) -> list[Stage]:
    """All stages in order, cached or not. ``ca`` is the host's bundle of trusted certificates."""
    env = environment(base_env, paths.work) | {"FENSTER_HOOKS": str(inputs.hooks_dir)}
    if ca is not None:
        env["FENSTER_CA"] = str(ca)
    return [
        _packages(inputs, paths, env, uid),
        _tree_stage("clis", "Installing codex, claude and gemini", inputs.clis_key, inputs, paths, uid, env | {
            "FENSTER_CLIS": " ".join(inputs.recipe.cli_packages),
            "FENSTER_COMMANDS": " ".join(inputs.recipe.cli_commands),
            "FENSTER_PRUNE": " ".join(inputs.recipe.cli_prune),
        }),
        _tree_stage("venv", "Installing the agent's libraries", inputs.venv_key, inputs, paths, uid, env | {
            "FENSTER_REQUIREMENTS": str(paths.work / "requirements.txt"),
        }),
        _image(inputs, paths, env, uid),
    ]  # fmt: skip


def _packages(inputs: Inputs, paths: Paths, env: Mapping[str, str], uid: int) -> Stage:
    recipe = inputs.recipe
    partial = paths.work / "packages.tar.zst"
    argv = [
        *userns_prefix(uid), "mmdebstrap", "--mode=root", "--variant=apt",
        f"--include={','.join(recipe.packages(inputs.profile))}",
        '--aptopt=APT::Install-Recommends "false"',
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.path_exclude),
        *(f"--dpkgopt=path-include={pattern}" for pattern in recipe.path_include),
        recipe.suite, str(partial), *([recipe.mirror] if recipe.mirror else []),
    ]  # fmt: skip
    result = paths.stage("packages", inputs.packages_key)
    return Stage("packages", "Installing Debian packages", tuple(argv), dict(env), partial, result, 4096)


def _tree_argv(unpack: list[Path], hook: Path, suite: str, uid: int) -> tuple[str, ...]:
    """mmdebstrap that installs nothing: unpack earlier stages, run one hook on the tree, throw the tree away."""
    return (
        *userns_prefix(uid), "mmdebstrap", "--mode=root", "--variant=custom", "--format=null",
        "--skip=update,cleanup",
        *(f"--setup-hook={UNPACK} {shlex.quote(str(path))}" for path in unpack),
        f"--customize-hook={hook}",
        suite, "-",
    )  # fmt: skip


def _tree_stage(
    name: str, title: str, key: str, inputs: Inputs, paths: Paths, uid: int, env: Mapping[str, str]
) -> Stage:
    packages = paths.stage("packages", inputs.packages_key)
    partial = paths.work / f"{name}.tar.zst"
    argv = _tree_argv([packages], inputs.hooks_dir / name, inputs.recipe.suite, uid)
    full_env = dict(env) | {"FENSTER_OUT": str(partial)}
    return Stage(name, title, argv, full_env, partial, paths.stage(name, key), 4096)


def _image(inputs: Inputs, paths: Paths, env: Mapping[str, str], uid: int) -> Stage:
    recipe = inputs.recipe
    partial = paths.work / "image"
    unpack = [
        paths.stage("packages", inputs.packages_key),
        paths.stage("clis", inputs.clis_key),
        paths.stage("venv", inputs.venv_key),
    ]
    argv = _tree_argv(unpack, inputs.hooks_dir / "assemble", recipe.suite, uid)
    full_env = dict(env) | {
        "FENSTER_OVERLAY": str(paths.work / "overlay.tar"),
        "FENSTER_WHEEL": str(paths.work / f"fenster_guest_agent-{inputs.wheel_version}-py3-none-any.whl"),
        "FENSTER_ENABLE": " ".join(recipe.enable),
        "FENSTER_MASK": " ".join(recipe.mask),
        "FENSTER_MODULES": " ".join(recipe.modules),
        # Constant until the guest is given its own; the same for one image so that a build can be compared.
        "FENSTER_MACHINE_ID": (inputs.image_key * 2)[:32],
        "FENSTER_SIZE_MIB": str(recipe.size_mib),
        "FENSTER_OUT": str(partial),
    }
    return Stage("image", "Writing the image", argv, full_env, partial, paths.image(inputs), 6144)
