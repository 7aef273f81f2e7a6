"""What a person's keyboard says in their language is what the guest's terminal gets, whatever the guest's layout."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.e2e.viewer import Viewer
from tests.page.conftest import Show
from tests.page.keyboard import own_machine
from tests.x11.desk import Terminal

pytestmark = [pytest.mark.page, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

LAYOUTS = [
    pytest.param("us", "", [
        ("h e l l o Space S-w o r l d S-1", "hello World!"),
        ("` - = [ ] \\ ; ' , . /", "`-=[]\\;',./"),
        ("S-` S-2 S-4 S-6 S-- S-= S-[ S-] S-\\ S-; S-' S-, S-. S-/", "~@$^_+{}|:\"<>?"),
        ("C-c C-[ Caps a S-a Caps a", "\x03\x1bAaa"),
    ], id="us"),
    pytest.param("us", "intl", [
        ("' e S-' u ` a S-6 o S-` n ' Space S-' Space", "éüàôñ'\""),
        ("G-5 G-s G-, G-1", "€ßç¡"),
    ], id="us-intl"),
    pytest.param("de", "", [
        ("y z S-y ; ' [ - S-; S-' S-[", "zyZöäüßÖÄÜ"),
        ("G-q G-e G-7 G-8 G-9 G-0 G-- G-] G-< G-m", "@€{[]}\\~|µ"),
        ("` a = e S-= o ` Space", "âéò^"),
        ("S-2 S-3 S-7 < S-< \\ S-\\", "\"§/<>#'"),
    ], id="german"),
    pytest.param("fr", "", [
        ("q w a z ; m S-q S-1 1 2 7 9 0", "azqwm,A1&éèçà"),
        ("G-0 G-e G-4 G-5 G-8", "@€{[\\"),
        ("[ e S-[ i [ q [ a", "êïâ^q"),
    ], id="french"),
    pytest.param("ru", "", [
        ("g h b d t n S-v b h ` S-`", "приветМирёЁ"),
        ("S-3 / S-/ x w", "№.,чц"),
    ], id="russian"),
    pytest.param("pl", "", [("G-a G-c G-e G-l G-n G-o G-s G-z G-x S-G-a", "ąćęłńóśżźĄ")], id="polish"),
]  # fmt: skip


async def typed(terminal: Terminal, text: str) -> str:
    return await asyncio.to_thread(terminal.read, len(text))


async def focus(viewer: Viewer) -> None:
    """The page has the keyboard, and the terminal the guest's."""
    await viewer.page.bring_to_front()
    await viewer.click(640, 380)
    await viewer.page.wait_for_function("() => document.activeElement.id === 'keys'")


@pytest.mark.parametrize(("layout", "variant", "lines"), LAYOUTS)
async def test_a_layout(
    show: Show, terminal: Terminal, tmp_path: Path, layout: str, variant: str, lines: list[tuple[str, str]]
) -> None:
    async with own_machine(show.host, show.gateway.origin, tmp_path, layout, variant) as (keyboard, browser):
        viewer = await show.open(browser, returns=True)
        await viewer.controls()
        await focus(viewer)
        got = []
        for strokes, text in lines:
            await asyncio.to_thread(keyboard.press, strokes)
            got.append(await typed(terminal, text))
        assert got == [text for _, text in lines]
        await viewer.page.context.close()


async def test_japanese_by_an_input_method(show: Show, viewer: Viewer, terminal: Terminal) -> None:
    """Only what is committed is typed: neither the kana under way nor the candidates."""
    await focus(viewer)
    cdp = await viewer.page.context.new_cdp_session(viewer.page)
    for composed in ("n", "に", "にほ", "にほん", "にほんg", "日本語"):
        selection = {"selectionStart": len(composed), "selectionEnd": len(composed)}
        await cdp.send("Input.imeSetComposition", {"text": composed, **selection})
    await cdp.send("Input.insertText", {"text": "日本語"})
    await viewer.type("、a")
    text = "日本語、a"
    assert await typed(terminal, text) == text


async def test_a_composition_that_is_given_up_types_nothing(show: Show, viewer: Viewer, terminal: Terminal) -> None:
    await focus(viewer)
    cdp = await viewer.page.context.new_cdp_session(viewer.page)
    for composed in ("か", "かん", ""):
        selection = {"selectionStart": len(composed), "selectionEnd": len(composed)}
        await cdp.send("Input.imeSetComposition", {"text": composed, **selection})
    await viewer.type("z")
    assert await typed(terminal, "z") == "z"


@pytest.mark.parametrize("text", ["😀🚀🇯🇵👍🏽", "한국어 العربية ไทย", "e\u0301 ﬁ ½ \U0001d518"])
async def test_text_from_a_picker(show: Show, viewer: Viewer, terminal: Terminal, text: str) -> None:
    """Emoji of several code points, letters without a key anywhere."""
    await focus(viewer)
    await viewer.page.keyboard.insert_text(text)
    assert await typed(terminal, text) == text
