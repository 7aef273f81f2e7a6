"""The recipe: what ships is whole, and a mistake in it is named."""

from __future__ import annotations

from importlib import resources

import pytest

from golden.errors import RecipeError
from golden.recipe import load_default, parse

TEXT = resources.files("golden").joinpath("recipe.toml").read_text(encoding="utf-8")


def test_the_shipped_recipe_has_what_a_session_must_show() -> None:
    recipe = load_default()
    assert recipe.suite == "trixie"
    assert {"chromium", "xfce4-terminal", "nodejs", "npm", "x11vnc", "xserver-xorg-video-dummy"} <= set(recipe.common)
    assert "libyuv0" in recipe.common
    assert set(recipe.profiles) == {"xfce", "openbox"}
    assert recipe.cli_packages == (
        "@openai/codex@0.169.0",
        "@anthropic-ai/claude-code@2.1.197",
        "@google/gemini-cli@0.61.0",
    )
    assert "root=/dev/vda" in recipe.cmdline


def test_a_profile_adds_to_the_common_packages() -> None:
    recipe = load_default()
    xfce, openbox = recipe.packages("xfce"), recipe.packages("openbox")
    assert "xfwm4" in xfce
    assert "xfwm4" not in openbox
    assert set(xfce) & set(openbox) == set(recipe.common)
    assert list(xfce) == sorted(xfce)


def test_an_unknown_profile_is_named_with_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"'kde'.*openbox, xfce"):
        load_default().packages("kde")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('suite = "trixie"', "", "recipe.suite is missing"),
        ('suite = "trixie"', "suite = 13", "recipe.suite is not of type str"),
        ("size_mib = 6144", "size_mib = true", "image.size_mib is not of type int"),
        ("size_mib = 6144", "size_mib = 12", "from 2048"),
        ("size_mib = 6144", "size_mib = 6144\nformat = 1", "image has an unknown key 'format'"),
        ('"systemd-sysv"', '"Systemd SysV"', "packages.common holds 'Systemd SysV'"),
        ('"systemd-sysv"', '"systemd"', "packages.common names something twice"),
        ("@openai/codex@0.169.0", "@openai/codex@latest", "cli.packages holds"),
        ('prune = ["', 'prune = ["../../', "leaves node_modules"),
        ('mask = [', 'mask = [\n  "fenster-x.service",', "fenster-x.service is both enabled and masked"),
        ("[profiles.openbox]", "[profiles.Open-Box]", "a profile is called 'Open-Box'"),
        ("[units]", "[units", "recipe: "),
    ],
)  # fmt: skip
def test_a_mistake_is_named(old: str, new: str, says: str) -> None:
    assert old in TEXT
    with pytest.raises(RecipeError) as caught:
        parse(TEXT.replace(old, new, 1))
    assert says in caught.value.message
