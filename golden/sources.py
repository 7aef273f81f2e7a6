"""Where the build's inputs lie, in a checkout and in an installed distribution, and their keys."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from golden import key
from golden.agent_wheel import build_wheel
from golden.errors import GoldenError
from golden.overlay import merge, read_tree
from golden.recipe import Recipe, load_default

__all__ = ["Inputs", "agent_requirements", "canonical", "collect"]

PACKAGE_DIR = Path(__file__).resolve().parent
_SHAPING = ("initrd.py", "overlay.py", "agent_wheel.py", "manifest.py")
"""Modules whose code decides bytes of the image."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that one image is made of, read once."""

    recipe: Recipe
    profile: str
    hooks_dir: Path
    overlay: Mapping[str, bytes]
    wheel: bytes
    wheel_version: str
    requirements: tuple[str, ...]
    packages_key: str
    clis_key: str
    venv_key: str
    image_key: str

    @property
    def wheel_sha256(self) -> str:
        return hashlib.sha256(self.wheel).hexdigest()


def collect(profile: str, recipe: Recipe | None = None) -> Inputs:
    """Read the recipe, hooks, overlay and agent, and name them by their keys. Raises GoldenError."""
    recipe = recipe or load_default()
    recipe.packages(profile)
    hooks_dir = PACKAGE_DIR / "hooks"
    hooks = read_tree(hooks_dir)
    overlay = merge(read_tree(PACKAGE_DIR / "rootfs" / "common"), read_tree(PACKAGE_DIR / "rootfs" / profile))
    builder = {name: (PACKAGE_DIR / name).read_bytes() for name in _SHAPING}
    version, requirements = agent_requirements()
    wheel = build_wheel(_agent_sources(), version=version, requirements=requirements)
    return Inputs(
        recipe=recipe,
        profile=profile,
        hooks_dir=hooks_dir,
        overlay=overlay,
        wheel=wheel,
        wheel_version=version,
        requirements=requirements,
        packages_key=key.packages_key(recipe, profile),
        clis_key=key.clis_key(recipe, hooks),
        venv_key=key.venv_key(recipe, hooks, requirements),
        image_key=key.image_key(
            recipe, profile, hooks=hooks, overlay=overlay, wheel=wheel, builder=builder, requirements=requirements
        ),
    )


def _agent_sources() -> dict[str, bytes]:
    """guest_agent/ beside this package: in guest-agent/ of a checkout, in the same folder once installed."""
    for root in (PACKAGE_DIR.parent / "guest-agent", PACKAGE_DIR.parent):
        if (root / "guest_agent" / "__init__.py").is_file():
            return {f"guest_agent/{name}": data for name, data in read_tree(root / "guest_agent").items()}
    raise GoldenError("the guest agent's sources are missing", hint="reinstall fenster, or build from a checkout")


def agent_requirements() -> tuple[str, tuple[str, ...]]:
    """The version of this distribution and the requirements of its extra ``agent``."""
    project = PACKAGE_DIR.parent / "pyproject.toml"
    if project.is_file():
        table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
        return table["version"], tuple(map(canonical, table["optional-dependencies"]["agent"]))
    try:
        found = metadata.metadata("fenster")
    except metadata.PackageNotFoundError as exc:
        raise GoldenError("fenster is not installed and this is no checkout", hint="pip install fenster") from exc
    extra = 'extra == "agent"'
    lines = [line for line in found.get_all("Requires-Dist") or [] if extra in line]
    return found["Version"], tuple(canonical(line.split(";")[0]) for line in lines)


def canonical(requirement: str) -> str:
    """A requirement with its version clauses in one order, lower bounds first.

    setuptools writes them into a package's metadata in another order than pyproject.toml has, and an installed
    fenster is to have the keys of a checkout.
    """
    name = re.split(r"[<>=!~]", requirement, maxsplit=1)[0]
    clauses = requirement[len(name) :].split(",")
    return name.strip() + ",".join(sorted((clause.strip() for clause in clauses), reverse=True))
