"""Stages: what is run, with which environment, and where it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden import sources
from golden.stages import Paths, Stage, environment, stages, userns_prefix

CACHE = Path("/c")


@pytest.fixture(scope="module")
def inputs() -> sources.Inputs:
    return sources.collect("xfce")


def plan(inputs: sources.Inputs, *, uid: int = 0, ca: Path | None = Path("/ca.crt")) -> dict[str, Stage]:
    made = stages(inputs, Paths(CACHE), {"HTTPS_PROXY": "http://p:1", "PYTHONPATH": "x"}, uid=uid, ca=ca)
    return {stage.name: stage for stage in made}


def test_order_and_places(inputs: sources.Inputs) -> None:
    made = plan(inputs)
    assert list(made) == ["packages", "clis", "venv", "image"]
    assert made["packages"].result == CACHE / "stages" / f"packages-{inputs.packages_key}.tar.zst"
    assert made["image"].result == CACHE / "golden" / f"xfce-{inputs.image_key}"
    # A rename is only atomic within one file system, and only a name of the work folder may be half written.
    assert all(stage.partial.parent == CACHE / "work" for stage in made.values())


def test_packages_argv(inputs: sources.Inputs) -> None:
    argv = plan(inputs)["packages"].argv
    assert argv[:3] == ("mmdebstrap", "--mode=root", "--variant=apt")
    assert argv[-2:] == ("trixie", "/c/work/packages.tar.zst")
    (include,) = (word for word in argv if word.startswith("--include="))
    assert "xfce4-session" in include.removeprefix("--include=").split(",")
    exclude = [n for n, word in enumerate(argv) if word.startswith("--dpkgopt=path-exclude")]
    include_at = [n for n, word in enumerate(argv) if word.startswith("--dpkgopt=path-include")]
    assert max(exclude) < min(include_at)  # dpkg: the last pattern that matches wins


def test_later_stages_unpack_earlier_ones_and_fetch_no_packages(inputs: sources.Inputs) -> None:
    made = plan(inputs)
    unpacked = [word for word in made["image"].argv if word.startswith("--setup-hook=")]
    for name, word in zip(("packages", "clis", "venv"), unpacked, strict=True):
        assert str(made[name].result) in word
    for name in ("clis", "venv", "image"):
        assert "--variant=custom" in made[name].argv
        assert not any(word.startswith("--include") for word in made[name].argv)


def test_an_ordinary_user_builds_in_a_user_namespace(inputs: sources.Inputs) -> None:
    assert userns_prefix(0) == []
    for stage in plan(inputs, uid=1000).values():
        assert stage.argv[0] == "unshare"
        assert "--map-root-user" in stage.argv
        assert "mmdebstrap" in stage.argv


def test_the_environment_is_the_callers_way_out_and_no_more(inputs: sources.Inputs) -> None:
    for stage in plan(inputs).values():
        assert stage.env["HTTPS_PROXY"] == "http://p:1"
        assert stage.env["FENSTER_CA"] == "/ca.crt"
        assert "PYTHONPATH" not in stage.env
    assert "FENSTER_CA" not in plan(inputs, ca=None)["clis"].env
    assert environment({}, Path("/w"))["TMPDIR"] == "/w"


def test_spaces_in_the_cache_path_survive_the_hooks_shell(inputs: sources.Inputs) -> None:
    made = stages(inputs, Paths(Path("/a b")), {}, uid=0, ca=None)
    assert f"'/a b/stages/packages-{inputs.packages_key}.tar.zst'" in made[1].argv[5]


def test_the_machine_id_has_its_form(inputs: sources.Inputs) -> None:
    machine_id = plan(inputs)["image"].env["FENSTER_MACHINE_ID"]
    assert len(machine_id) == 32
    assert set(machine_id) <= set("0123456789abcdef")


@pytest.mark.parametrize("written", ["numpy>=2.1,<3", "numpy<3,>=2.1", "numpy <3, >=2.1 "])
def test_a_requirement_is_the_same_however_setuptools_writes_it(written: str) -> None:
    assert sources.canonical(written) == "numpy>=2.1,<3"
    assert sources.canonical("python-xlib==0.33") == "python-xlib==0.33"
    assert sources.canonical("six") == "six"


def test_the_inputs_are_this_trees(inputs: sources.Inputs) -> None:
    assert any(line.startswith("aiortc==") for line in inputs.requirements)
    assert b"guest_agent/protocol/link.py" in inputs.wheel
    assert "usr/lib/systemd/system/fenster-agent.service" in inputs.overlay
    assert sources.collect("xfce").image_key == inputs.image_key
    openbox = sources.collect("openbox")
    assert openbox.image_key != inputs.image_key
    assert (openbox.clis_key, openbox.venv_key) == (inputs.clis_key, inputs.venv_key)
