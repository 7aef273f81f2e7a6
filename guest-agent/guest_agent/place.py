"""Where the desktop is taken for: its time zone, and the languages that Chromium asks web sites for.

Both are files that running programs follow: Chromium watches its policies and /etc/localtime (that from some seconds
after its start on: fenster-zone.service), systemd and glibc's localtime(3) read the latter again when it is another.
So nothing is started anew. LANG stays: the image has C.UTF-8 alone, and no translations.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from guest_agent.files import write_atomic
from guest_agent.requests import Place

__all__ = ["LANGUAGES_FILE", "languages", "settle"]

ZONES = Path("/usr/share/zoneinfo")
DEFAULT_ZONE = "Etc/UTC"
LANGUAGES_FILE = "chromium/policies/managed/fenster-languages.json"
"""Below etc; beside the policies of the image."""


def settle(place: Place, etc: Path) -> dict[str, str]:
    """Write what has changed. Returns what was skipped, and why. Raises OSError."""
    _set_languages(place.locale, etc / LANGUAGES_FILE)
    zone = place.timezone or DEFAULT_ZONE
    if not (ZONES / zone).is_file():
        return {"timezone": f"this image has no time zone {zone}"}
    _set_zone(zone, etc)
    return {}


def languages(locale: str) -> list[str]:
    """The locale, its language, and English, as a browser of there has them."""
    return list(dict.fromkeys([locale, locale.partition("-")[0], "en-US", "en"]))


def _set_zone(zone: str, etc: Path) -> None:
    # A link: its target's name is how ICU, and so Chromium, learns which zone it is (localtime(5)).
    link, target = etc / "localtime", str(ZONES / zone)
    with contextlib.suppress(OSError):
        if link.readlink() == Path(target):
            return
    etc.mkdir(parents=True, exist_ok=True)
    temporary = etc / f".localtime.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(target)
    os.replace(temporary, link)
    # After the link: fenster-zone.path waits for this file.
    write_atomic(etc / "timezone", f"{zone}\n".encode(), 0o644)


def _set_languages(locale: str, path: Path) -> None:
    if not locale:
        path.unlink(missing_ok=True)
        return
    # Not the policy of the image itself: what a person has changed there stays.
    text = json.dumps({"ForcedLanguages": languages(locale)}) + "\n"
    with contextlib.suppress(FileNotFoundError):
        if path.read_text() == text:
            return
    write_atomic(path, text.encode(), 0o644)
