"""Keys: the same inputs give the same key, and a change reaches exactly the stages that depend on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from golden import key
from golden.recipe import Recipe, load_default

HOOKS = {"clis": b"c", "venv": b"v", "trust": b"t", "assemble": b"a"}
REQUIREMENTS = ("aiortc==1.16.0", "numpy>=2")


def keys(recipe: Recipe, *, profile: str = "xfce", **changes: Any) -> dict[str, str]:
    hooks = HOOKS | changes.pop("hooks", {})
    requirements = changes.pop("requirements", REQUIREMENTS)
    rest = {"overlay": {"etc/hostname": b"x"}, "wheel": b"w", "builder": {"initrd.py": b"i"}} | changes
    return {
        "packages": key.packages_key(recipe, profile),
        "clis": key.clis_key(recipe, hooks),
        "venv": key.venv_key(recipe, hooks, requirements),
        "image": key.image_key(recipe, profile, hooks=hooks, requirements=requirements, **rest),
    }


def changed(after: dict[str, str]) -> set[str]:
    before = keys(load_default())
    return {name for name in before if before[name] != after[name]}


def test_the_same_inputs_give_the_same_keys() -> None:
    assert changed(keys(load_default())) == set()
    assert all(len(value) == key.KEY_CHARS for value in keys(load_default()).values())


@pytest.mark.parametrize("change", [{"wheel": b"other"}, {"overlay": {}}, {"builder": {}}])
def test_agent_overlay_and_builder_change_the_image_alone(change: dict[str, Any]) -> None:
    assert changed(keys(load_default(), **change)) == {"image"}


def test_each_part_of_the_recipe_reaches_its_stage() -> None:
    recipe = load_default()
    assert changed(keys(replace(recipe, common=(*recipe.common, "vim")))) == {"packages", "image"}
    assert changed(keys(replace(recipe, cli_packages=("a@1.0.0",)))) == {"clis", "image"}
    assert changed(keys(recipe, requirements=("aiortc==1.17.0",))) == {"venv", "image"}
    assert changed(keys(replace(recipe, suite="forky"))) == {"packages", "clis", "venv", "image"}
    for part in ({"mask": ()}, {"enable": ()}, {"cmdline": ("root=/dev/vdb",)}, {"modules": ()}, {"size_mib": 9000}):
        assert changed(keys(replace(recipe, **part))) == {"image"}


def test_hooks_reach_their_stage_and_profiles_share_tools() -> None:
    recipe = load_default()
    assert changed(keys(recipe, hooks={"clis": b"x"})) == {"clis", "image"}
    assert changed(keys(recipe, hooks={"assemble": b"x"})) == {"image"}
    assert changed(keys(recipe, hooks={"trust": b"x"})) == {"clis", "venv", "image"}
    assert changed(keys(recipe, profile="openbox")) == {"packages", "image"}


def test_a_tree_cannot_pass_for_another() -> None:
    assert key.tree_digest({"a": b"bc"}) != key.tree_digest({"ab": b"c"})
    assert key.tree_digest({"a": b"1", "b": b"2"}) == key.tree_digest({"b": b"2", "a": b"1"})
    assert key.tree_digest({"a": b"1", "b": b"2"}) != key.tree_digest({"a": b"2", "b": b"1"})
