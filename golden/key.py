"""Cache keys: what a stage is made of, as a hash. Pure.

A key names contents, not times: two checkouts with the same files have the same keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from golden.recipe import Recipe

__all__ = ["clis_key", "image_key", "packages_key", "tree_digest", "venv_key"]

KEY_CHARS = 16
"""64 bits in hex: enough to tell the images of one cache apart, short enough for a path."""


def _key(*parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_CHARS]


def tree_digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents, in name order."""
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(f"{len(name.encode())}:{name}:{len(files[name])}:".encode())
        total.update(files[name])
    return total.hexdigest()


def packages_key(recipe: Recipe, profile: str) -> str:
    """The Debian packages of a profile, unpacked and configured."""
    return _key(
        "packages", 1, recipe.suite, recipe.mirror, recipe.packages(profile), recipe.path_exclude, recipe.path_include
    )


def clis_key(recipe: Recipe, hooks: Mapping[str, bytes]) -> str:
    """The npm tools. They do not depend on the profile's packages, only on the suite's Node."""
    hook = {name: hooks[name] for name in ("clis", "trust")}
    return _key(
        "clis", 1, recipe.suite, recipe.cli_packages, recipe.cli_commands, recipe.cli_prune, tree_digest(hook)
    )


def venv_key(recipe: Recipe, hooks: Mapping[str, bytes], requirements: tuple[str, ...]) -> str:
    """The agent's environment without the agent: it depends on the suite's Python only."""
    hook = {name: hooks[name] for name in ("venv", "trust")}
    return _key("venv", 1, recipe.suite, sorted(requirements), tree_digest(hook))


def image_key(
    recipe: Recipe,
    profile: str,
    *,
    hooks: Mapping[str, bytes],
    overlay: Mapping[str, bytes],
    wheel: bytes,
    builder: Mapping[str, bytes],
    requirements: tuple[str, ...],
) -> str:
    """Everything. ``builder`` is the source of the modules that shape the image's own files."""
    return _key(
        "image",
        1,
        profile,
        packages_key(recipe, profile),
        clis_key(recipe, hooks),
        venv_key(recipe, hooks, requirements),
        [recipe.size_mib, recipe.modules, recipe.cmdline, recipe.enable, recipe.mask],
        tree_digest({name: hooks[name] for name in ("assemble",)}),
        tree_digest(overlay),
        hashlib.sha256(wheel).hexdigest(),
        tree_digest(builder),
    )
