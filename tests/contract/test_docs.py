"""Every command in the documents is one that there is, with options that it takes."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.cli.root import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ["README.md", "deploy/README.md", "gateway/README.md", "web/README.md", "tests/README.md",
             "golden/README.md"]  # fmt: skip
FENCE = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`((?:fenster|make|npm run) [^`\n]+)`")
PROGRAMS = ("fenster", "make", "npm")


def commands(text: str) -> Iterator[list[str]]:
    """Words of each command of ours, from code blocks and from code within a line."""
    lines = [line for block in FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *SPAN.findall(FENCE.sub("", text))]:
        for part in re.split(r"&&|\|\||[;|()]", re.sub(r"(^|\s)#.*", "", line)):
            try:
                words = shlex.split(part)
            except ValueError:
                continue
            words = _without_lead(words)
            if words and Path(words[0]).name in PROGRAMS:
                yield [Path(words[0]).name, *words[1:]]


def _without_lead(words: list[str]) -> list[str]:
    """Without what stands before a command: variables, and sudo with its options and their user."""
    while words and "=" in words[0]:
        words = words[1:]
    if words[:1] == ["sudo"]:
        words = words[1:]
        while words and words[0].startswith("-"):
            words = words[2:] if words[0].endswith("u") else words[1:]
    return words


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command of the tree (click's, or Typer's copy of it), and what is left of the words."""
    found: Any = typer.main.get_command(app)
    while words and words[0] in getattr(found, "commands", {}):
        found, words = found.commands[words[0]], words[1:]
    return found, words


def takes(command: Any) -> set[str]:
    return {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help"}


def fault(words: list[str]) -> str:
    """What is wrong with a command; "" when nothing is."""
    program, *rest = words
    if program == "make":
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        wanted = [word for word in rest if "=" not in word and not word.startswith("-")]
        return next((f"no target {word}" for word in wanted if word not in targets), "")
    if program == "npm":
        scripts = set(json.loads((ROOT / "web" / "package.json").read_text())["scripts"])
        return f"no script {rest[1]}" if rest[:1] == ["run"] and rest[1] not in scripts else ""
    command, left = command_of(rest)
    if hasattr(command, "commands") and left and not left[0].startswith("-"):
        return f"no subcommand {left[0]}"
    options = {word.partition("=")[0] for word in left if re.match(r"--?[a-z]", word)}
    return next((f"no option {option}" for option in sorted(options - takes(command))), "")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_are_there_with_their_options(document: str) -> None:
    found = list(commands((ROOT / document).read_text()))
    assert found
    assert [(words, wrong) for words in found if (wrong := fault(words))] == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("```sh\n.venv/bin/fenster new --proxy -   # comment with `fenster nothing`\n```", [""]),
        ("```sh\nsudo -Hu fenster fenster ls --json\n```", [""]),
        ("```sh\nX=1 fenster new --rocket && make nothing ARGS=-x\n```", ["no option --rocket", "no target nothing"]),
        ("see `fenster dance` and `make test`", ["no subcommand dance", ""]),
        ("`fenster bench create --browser X`", [""]),
        ("```sh\nnpm run nothing\n```", ["no script nothing"]),
        ("fenster is a word here, and `fenster` alone a name", []),
    ],
)
def test_the_reader_of_documents_finds_what_is_wrong(text: str, wrong: list[str]) -> None:
    assert [fault(words) for words in commands(text)] == wrong
