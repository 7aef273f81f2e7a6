"""deploy/SECURITY.md claims nothing without a test that there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "deploy/SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_each_test_that_it_names_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    functions = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    assert name in functions


def test_each_claim_names_a_test() -> None:
    _, _, rest = TEXT.partition("\n## What holds\n")
    claims = [
        line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("| ") and "claim" not in line
    ]
    assert len(claims) > 20
    assert [line for line in claims if "::test_" not in line] == []
