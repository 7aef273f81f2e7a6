"""Charts of pygal to stand inside an HTML page: its colours, no script, nothing from elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import pygal
from pygal.etree import etree
from pygal.style import Style

__all__ = ["page_style", "pygal", "svg"]

# Its hook for plug-ins speaks a protocol that Python dropped, and makes every later import that fails warn of it.
# So pygal is taken from here, before anything else can be imported.
sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, pygal.PluginImportFixer)]

_FONT_PX = 17


def page_style(colours: Sequence[str]) -> Style:
    """Of charts in a page that has the CSS variables ``--ink`` and ``--line``; one colour for each series."""
    return Style(
        background="transparent",
        plot_background="transparent",
        foreground="var(--ink)",
        foreground_strong="var(--ink)",
        foreground_subtle="var(--line)",
        guide_stroke_color="var(--line)",
        major_guide_stroke_color="var(--line)",
        font_family="inherit",
        label_font_size=_FONT_PX,
        major_label_font_size=_FONT_PX,
        legend_font_size=_FONT_PX,
        title_font_size=_FONT_PX,
        opacity="1",
        stroke_width="2",
        # Given, since pygal would work them out and cannot calculate with a variable.
        colors=tuple(colours),
        value_colors=("var(--ink)",) * len(colours),
        ci_colors=("var(--ink)",) * len(colours),
    )


def svg(chart: Any, title: str) -> str:
    """What stands in a page: no script, no comments, the title for those who do not see it."""
    root = chart.render_tree()
    for parent in list(root.iter()):
        for child in list(parent):
            name = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else None
            if name in (None, "script"):
                # Comments with addresses, and the settings of the script that is not there.
                parent.remove(child)
            elif name == "title":
                child.text = title
            elif name == "desc" and child.get("class") == "value":
                # What browsers show where the pointer rests.
                child.tag = "title"
    root.set("role", "img")
    root.set("aria-label", title)
    markup: str = etree.tostring(root, encoding="unicode")
    return markup
