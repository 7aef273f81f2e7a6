"""The accelerator is decided by what a booted kernel says, here spoken by scripts instead of QEMU."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.errors import VmUnavailable
from gateway.vm.accel import KVM_CPUS, TCG_CPU, Accelerator, Limits, choose_accelerator
from gateway.vm.binary import Qemu
from gateway.vm.images import GoldenImage, open_image
from tests.unit.test_vm_images import make

BOOTS = "echo '[ 0.0] Linux version'; echo '[ 1.0] Run /init as init process'; echo Loading; exec sleep 1000"
HANGS = "echo 'SeaBIOS'; echo 'EDD ... ok'; exec sleep 1000"
NO_USERSPACE = "echo '[ 0.0] Linux version'; exec sleep 1000"
ABORTS = "echo 'error: failed to set MSR' >&2; exit 1"
PATIENT = Limits(kernel_s=30.0, userspace_s=30.0)


@dataclass
class Host:
    root: Path
    image: GoldenImage

    def qemu(self, script: str, version: str = "10.0.2") -> Qemu:
        """A program that does this, and counts how often it was started."""
        path = self.root / "bin" / "qemu"
        path.write_text(f'#!/bin/sh\necho "$@" >> {self.root}/bin/starts\n{script}\n')
        path.chmod(0o755)
        return Qemu(path, version)

    @property
    def starts(self) -> list[str]:
        path = self.root / "bin" / "starts"
        return path.read_text().splitlines() if path.exists() else []

    async def choose(self, qemu: Qemu, limits: Limits = PATIENT) -> Accelerator:
        state = self.root / "state"
        return await choose_accelerator(
            qemu, self.image, wanted="auto", state_dir=state, kvm_device=self.root / "kvm", limits=limits
        )


@pytest.fixture
def host() -> Iterator[Host]:
    with tempfile.TemporaryDirectory(prefix="fen") as name:
        root = Path(name)
        # The probe runs as a stranger, who must be able to run the script and to count.
        root.chmod(0o755)
        (root / "bin").mkdir()
        (root / "bin").chmod(0o777)
        (root / "kvm").touch()
        yield Host(root, open_image(make(root / "golden", "xfce", "1234")))


async def test_a_kernel_that_boots_chooses_kvm(host: Host) -> None:
    found = await host.choose(host.qemu(BOOTS))
    assert (found.name, found.cpu) == ("kvm", KVM_CPUS[0])
    assert "kvm,device=/dev/fdset/2" in host.starts[0]


async def test_a_hang_chooses_tcg_and_says_why(host: Host) -> None:
    found = await host.choose(host.qemu(HANGS), Limits(kernel_s=0.3, userspace_s=30.0))
    assert (found.name, found.cpu) == ("tcg", TCG_CPU)
    assert "printed nothing within 0.3 s" in found.why


async def test_a_kernel_without_userspace_chooses_tcg(host: Host) -> None:
    found = await host.choose(host.qemu(NO_USERSPACE), Limits(kernel_s=30.0, userspace_s=0.5))
    assert found.name == "tcg"
    assert "did not reach userspace within 0.5 s" in found.why


async def test_an_abort_chooses_tcg_with_qemus_own_words(host: Host) -> None:
    found = await host.choose(host.qemu(ABORTS))
    assert found.name == "tcg"
    assert "failed to set MSR" in found.why
    assert len(host.starts) == len(KVM_CPUS)


async def test_the_second_processor_model_may_do(host: Host) -> None:
    found = await host.choose(host.qemu(f"case $* in *,-arch-capabilities*) {BOOTS};; esac; {ABORTS}"))
    assert (found.name, found.cpu) == ("kvm", KVM_CPUS[1])


async def test_the_result_is_kept_until_something_changes(host: Host) -> None:
    first = await host.choose(host.qemu(BOOTS))
    assert await host.choose(host.qemu(ABORTS)) == first
    assert len(host.starts) == 1
    assert (await host.choose(host.qemu(ABORTS, version="10.0.3"))).name == "tcg"


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"key": "x"}), json.dumps({"key": 1, "name": "hax"})])
async def test_a_damaged_cache_is_probed_again(host: Host, text: str) -> None:
    (host.root / "state").mkdir()
    (host.root / "state" / "accel.json").write_text(text)
    assert (await host.choose(host.qemu(BOOTS))).name == "kvm"


async def test_without_a_device_nothing_is_started(host: Host) -> None:
    (host.root / "kvm").unlink()
    found = await host.choose(host.qemu(BOOTS))
    assert found.name == "tcg"
    assert "there is no" in found.why
    assert host.starts == []


async def test_what_is_asked_for_is_not_probed(host: Host) -> None:
    qemu, state = host.qemu(ABORTS), host.root / "state"
    for wanted in ("kvm", "tcg"):
        found = await choose_accelerator(
            qemu,
            host.image,
            wanted=wanted,
            state_dir=state,
            kvm_device=host.root / "kvm",
        )
        assert found.name == wanted
    assert host.starts == []


async def test_kvm_without_its_device_is_refused_with_the_mend(host: Host) -> None:
    (host.root / "kvm").unlink()
    with pytest.raises(VmUnavailable) as caught:
        await choose_accelerator(
            host.qemu(BOOTS), host.image, wanted="kvm", state_dir=host.root, kvm_device=host.root / "kvm"
        )
    assert "modprobe" in caught.value.hint
