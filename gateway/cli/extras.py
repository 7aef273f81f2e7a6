"""Commands that need more than a server does: packages of an extra, a browser, a place for a report."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gateway.cli.output import notes
from gateway.errors import ConfigError

__all__ = ["check_browser", "check_place", "missing", "write"]


def missing(flag: str, error: ModuleNotFoundError, extra: str) -> ConfigError:
    """What to say of a package that is not there. Raises the error itself when it is one of ours."""
    if (error.name or "gateway").split(".")[0] == "gateway":
        raise error
    install = f"{sys.executable} -m pip install -e '.[{extra}]'"
    return ConfigError(
        f"{flag} needs the Python package {error.name}", hint=f"in Fenster's source directory: {install}"
    )


def check_browser(browser: Path) -> None:
    """Raises ConfigError: a package is missing, or there is no such program."""
    try:
        import gateway.bench.browser  # noqa: F401
    except ModuleNotFoundError as exc:
        raise missing("--browser", exc, "dev") from exc
    if not (browser.is_file() and os.access(browser, os.X_OK)):
        raise ConfigError(f"{browser} is no program", hint="name a Chromium's binary, such as /usr/bin/chromium")


def check_place(html: Path) -> None:
    """Raises ConfigError: the file cannot be written."""
    folder = html.absolute().parent
    if html.is_dir() or not os.access(html if html.exists() else folder, os.W_OK):
        raise ConfigError(f"cannot write {html}", hint="name a file in a directory that exists and is yours")


def write(path: Path, text: str) -> None:
    """A report, and a note of where it is. Raises ConfigError."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"cannot write {path}: {exc.strerror}") from exc
    notes().print(f"the report is in {path}", soft_wrap=True)
