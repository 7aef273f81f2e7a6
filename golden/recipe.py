"""recipe.toml as frozen values: parse and validate. Pure, except :func:`load_default`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from golden.errors import RecipeError

__all__ = ["Recipe", "load_default", "parse"]

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_NPM = re.compile(r"(@[a-z0-9._-]+/)?[a-z0-9._-]+@\d+\.\d+\.\d+")
_NAME = re.compile(r"[a-z0-9_@.-]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What goes into the image, apart from the overlay and the agent."""

    suite: str
    mirror: str
    size_mib: int
    modules: tuple[str, ...]
    cmdline: tuple[str, ...]
    common: tuple[str, ...]
    path_exclude: tuple[str, ...]
    path_include: tuple[str, ...]
    profiles: Mapping[str, tuple[str, ...]]
    """Debian packages of each profile, on top of ``common``."""
    cli_packages: tuple[str, ...]
    """npm packages with their exact versions."""
    cli_commands: tuple[str, ...]
    cli_prune: tuple[str, ...]
    """Folders below the global node_modules that are dropped again."""
    enable: tuple[str, ...]
    mask: tuple[str, ...]

    def packages(self, profile: str) -> tuple[str, ...]:
        """Sorted Debian packages of a profile. Raises RecipeError for an unknown one."""
        if profile not in self.profiles:
            known = ", ".join(sorted(self.profiles))
            raise RecipeError(f"there is no profile {profile!r}", hint=f"choose one of {known}")
        return tuple(sorted({*self.common, *self.profiles[profile]}))


class _Table:
    """One TOML table, taken apart key by key; what is left over at the end is a mistake."""

    def __init__(self, name: str, value: object) -> None:
        if not isinstance(value, dict):
            raise RecipeError(f"recipe: [{name}] is not a table")
        self._name = name
        self._left: dict[str, Any] = dict(value)

    def take(self, key: str, kind: type) -> Any:
        if key not in self._left:
            raise RecipeError(f"recipe: {self._name}.{key} is missing")
        value = self._left.pop(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise RecipeError(f"recipe: {self._name}.{key} is not of type {kind.__name__}")
        return value

    def strings(self, key: str, pattern: re.Pattern[str] | None = None) -> tuple[str, ...]:
        values = self.take(key, list)
        for value in values:
            if not isinstance(value, str) or not value or (pattern and not pattern.fullmatch(value)):
                raise RecipeError(f"recipe: {self._name}.{key} holds {value!r}")
        if len(set(values)) != len(values):
            raise RecipeError(f"recipe: {self._name}.{key} names something twice")
        return tuple(values)

    def tables(self) -> list[str]:
        return list(self._left)

    def end(self) -> None:
        if self._left:
            raise RecipeError(f"recipe: {self._name} has an unknown key {sorted(self._left)[0]!r}")


def parse(text: str) -> Recipe:
    """Read a recipe. Raises RecipeError that names the key."""
    try:
        top = _Table("recipe", tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        raise RecipeError(f"recipe: {exc}") from exc
    image = _Table("image", top.take("image", dict))
    kernel = _Table("kernel", top.take("kernel", dict))
    packages = _Table("packages", top.take("packages", dict))
    cli = _Table("cli", top.take("cli", dict))
    units = _Table("units", top.take("units", dict))
    profiles = _Table("profiles", top.take("profiles", dict))
    recipe = Recipe(
        suite=top.take("suite", str),
        mirror=top.take("mirror", str),
        size_mib=image.take("size_mib", int),
        modules=kernel.strings("modules", _NAME),
        cmdline=kernel.strings("cmdline"),
        common=packages.strings("common", _PACKAGE),
        path_exclude=packages.strings("path_exclude"),
        path_include=packages.strings("path_include"),
        profiles={name: _profile(name, profiles) for name in profiles.tables()},
        cli_packages=cli.strings("packages", _NPM),
        cli_commands=cli.strings("commands", _NAME),
        cli_prune=cli.strings("prune"),
        enable=units.strings("enable", _NAME),
        mask=units.strings("mask", _NAME),
    )
    for table in (top, image, kernel, packages, cli, units, profiles):
        table.end()
    _check(recipe)
    return recipe


def _profile(name: str, profiles: _Table) -> tuple[str, ...]:
    table = _Table(f"profiles.{name}", profiles.take(name, dict))
    found = table.strings("packages", _PACKAGE)
    table.end()
    return found


def _check(recipe: Recipe) -> None:
    if not _NAME.fullmatch(recipe.suite):
        raise RecipeError(f"recipe: suite is {recipe.suite!r}")
    if not 2048 <= recipe.size_mib <= 1 << 20:
        raise RecipeError(f"recipe: image.size_mib is {recipe.size_mib}; it must be from 2048 to 1048576")
    if not recipe.profiles:
        raise RecipeError("recipe: there is no profile")
    for name in recipe.profiles:
        if not re.fullmatch(r"[a-z][a-z0-9]*", name):
            raise RecipeError(f"recipe: a profile is called {name!r}")
    if both := set(recipe.enable) & set(recipe.mask):
        raise RecipeError(f"recipe: {sorted(both)[0]} is both enabled and masked")
    for folder in recipe.cli_prune:
        if folder.startswith("/") or ".." in folder.split("/"):
            raise RecipeError(f"recipe: cli.prune holds {folder!r}, which leaves node_modules")


def load_default() -> Recipe:
    """The recipe that ships with this package."""
    return parse(resources.files("golden").joinpath("recipe.toml").read_text(encoding="utf-8"))
