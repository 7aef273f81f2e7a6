"""The ``fenster`` command."""

from __future__ import annotations

from gateway.cli.root import main

__all__ = ["main"]
