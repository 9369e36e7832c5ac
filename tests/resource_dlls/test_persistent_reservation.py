"""A device that reserves itself: the new owner shuts the old one out, never a newer one or a stranger.

`sg_persist` is a stand-in that keeps its keys in a file. A real one needs a device with persistent
reservations: a loop device has none, scsi_debug of the kernel does not have the command, and the
kernel's SCSI target (LIO), which does, is a module that the kernels of containers and small virtual
machines come without.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monitoring.resource_dlls.api import ResourceError
from monitoring.resource_dlls.physical_disk import scsi
from monitoring.resource_dlls.physical_disk.reservation import Reservation
from tests.resource_dlls import disks
from tests.resource_dlls.context import call, online
from tests.resource_dlls.disks import disk

STAND_IN = """
# Registrations are of a path to the device (here: of a node), as SPC-3 has them; conflicts are exit code 24.
import json, os, sys
options = dict(word.partition("=")[::2] for word in sys.argv[1:-1])
file, path = os.environ["PR_STATE"], os.environ.get("PR_PATH", "NODE1")
state = json.load(open(file)) if os.path.exists(file) else {"keys": {}, "holder": None}
keys, rk, sark = state["keys"], options.get("--param-rk"), options.get("--param-sark")
def save():
    json.dump(state, open(file, "w"))
def conflict():
    sys.exit(24)
def number(text):
    return int(text, 16)
if "--read-keys" in options:
    print("  PR generation=0x4, %d registered reservation keys follow:" % len(keys))
    for key in keys.values():
        print("    0x%x" % key)
elif "--read-reservation" in options:
    if state["holder"] is None:
        print("  PR generation=0x4, there is NO reservation held")
    else:
        print("  PR generation=0x4, Reservation follows:\\n    Key=0x%x" % keys[state["holder"]])
        print("    scope: LU_SCOPE,  type: Write Exclusive, registrants only")
elif "--register-ignore" in options:
    keys[path] = number(sark)
elif keys.get(path) != number(rk):
    conflict()
elif "--register" in options:
    keys.pop(path)
    if state["holder"] == path:
        state["holder"] = None
elif "--reserve" in options:
    if state["holder"] not in (None, path):
        conflict()
    state["holder"] = path
elif "--release" in options:
    if state["holder"] == path:
        state["holder"] = None
elif "--preempt-abort" in options:
    victims = [other for other, key in keys.items() if key == number(sark)]
    if not victims:
        conflict()
    if state["holder"] in victims:
        state["holder"] = path
    for victim in victims:
        if victim != path:
            keys.pop(victim)
else:
    sys.exit(1)
save()
"""
At = Callable[[str], None]
DEVICE = "/dev/example"


@pytest.fixture(autouse=True)
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "sg_persist"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable} -S\n{STAND_IN}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("PR_STATE", str(tmp_path / "keys.json"))


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Iterator[At]:
    """From which node the device is spoken to from now on."""
    yield lambda node: monkeypatch.setenv("PR_PATH", node)


def owner(node: str, epoch: int, group_id: int = 1) -> Reservation:
    return Reservation(group_id, "GROUP", node, epoch, held=True)


def test_a_new_owner_takes_the_reservation_from_an_older_epoch(at: At) -> None:
    at("NODE1")
    scsi.take(DEVICE, owner("NODE1", 1))
    at("NODE2")
    scsi.take(DEVICE, owner("NODE2", 2))
    scsi.check(DEVICE, owner("NODE2", 2))
    at("NODE1")
    with pytest.raises(ResourceError, match="is reserved by the key 0x") as lost:
        scsi.check(DEVICE, owner("NODE1", 1))
    assert lost.value.code == 1038
    with pytest.raises(ResourceError, match="of another owner, and this is group GROUP at epoch 1"):
        scsi.take(DEVICE, owner("NODE1", 1))
    scsi.check(DEVICE, owner("NODE2", 2))


def test_an_older_key_that_is_only_registered_is_removed_too(at: At) -> None:
    at("NODE1")
    scsi.take(DEVICE, owner("NODE1", 1))
    at("NODE3")
    scsi._do(DEVICE, "--register-ignore", f"--param-sark={scsi.Key.of(owner('NODE3', 1))}")
    at("NODE2")
    scsi.take(DEVICE, owner("NODE2", 5))
    assert scsi._keys(DEVICE) == {scsi.Key.of(owner("NODE2", 5))}


@pytest.mark.parametrize("stranger", [owner("NODE1", 1, group_id=2), owner("NODE1", 9), owner("NODE1", 2)])
def test_who_is_no_older_owner_of_the_group_is_never_shut_out(at: At, stranger: Reservation) -> None:
    at("NODE1")
    scsi.take(DEVICE, stranger)
    at("NODE2")
    with pytest.raises(ResourceError, match="sg_persist --out --clear"):
        scsi.take(DEVICE, owner("NODE2", 2))
    assert scsi._keys(DEVICE) == {scsi.Key.of(stranger)}


def test_a_reservation_that_is_given_back_is_free_for_any_group(at: At) -> None:
    at("NODE1")
    scsi.take(DEVICE, owner("NODE1", 7))
    scsi.release(DEVICE, str(scsi.Key.of(owner("NODE1", 7))))
    assert scsi._keys(DEVICE) == set()
    at("NODE2")
    scsi.take(DEVICE, owner("NODE2", 1, group_id=2))
    scsi.release(DEVICE, str(scsi.Key.of(owner("NODE1", 7))))  # what another has is left alone
    scsi.check(DEVICE, owner("NODE2", 1, group_id=2))


def test_the_same_owner_takes_it_again_after_a_crash() -> None:
    scsi.take(DEVICE, owner("NODE1", 3))
    scsi.take(DEVICE, owner("NODE1", 3))
    scsi.check(DEVICE, owner("NODE1", 3))


@disks.needs_root
def test_a_disk_is_reserved_while_it_is_online_and_fails_when_it_is_taken(tmp_path: Path, at: At) -> None:
    with disks.image(tmp_path / "images") as image, disks.loop_device(image) as device:
        with online(disk(tmp_path, device, PersistentReservation="always")) as resource:
            scsi.check(device, owner("NODE1", 1))
            assert call(resource.is_alive)
            assert "reserved on the device" in resource.context.facts["Protection"].text  # type: ignore[attr-defined]
            call(resource.offline)
            assert scsi._keys(device) == set()
        with online(disk(tmp_path, device, PersistentReservation="always", epoch=2)) as resource:
            at("NODE2")
            scsi.take(device, owner("NODE2", 3))
            at("NODE1")
            with pytest.raises(ResourceError, match="is reserved by the key"):
                call(resource.is_alive)
        scsi.check(device, owner("NODE2", 3))
        refused = disk(tmp_path, device, PersistentReservation="auto", epoch=2)
        with pytest.raises(ResourceError, match="of another owner"):
            call(refused.online)
        call(refused.terminate)
        assert not disks.is_mounted(tmp_path)


@disks.needs_root
def test_a_device_without_reservations_is_refused_where_they_are_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin" / "sg_persist").unlink()
    with disks.image(tmp_path / "images") as image, disks.loop_device(image) as device:
        resource = disk(tmp_path, device, PersistentReservation="always")
        with pytest.raises(ResourceError, match="has no persistent reservations, which are required here"):
            call(resource.online)
        call(resource.terminate)
