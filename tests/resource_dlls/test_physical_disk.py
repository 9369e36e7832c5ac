"""One node at a time owns a disk, and an old owner can no longer write to it."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from monitoring.resource_dlls.api import ResourceError
from monitoring.resource_dlls.physical_disk import fence, reservation
from tests.resource_dlls.context import LocalContext, call, make, online


def disk(tmp_path: Path, node: str = "NODE1", epoch: int = 1, group_id: int = 1):
    context = LocalContext(tmp_path / node, name="disk", node=node, epoch=epoch, group_id=group_id)
    return make("Physical Disk", context, Path=str(tmp_path / "shared" / "evs1"))


def test_a_disk_that_is_online_is_alive_and_was_made_where_it_was_missing(tmp_path: Path) -> None:
    with online(disk(tmp_path)) as resource:
        assert (tmp_path / "shared" / "evs1").is_dir()
        assert call(resource.looks_alive)
        assert call(resource.is_alive)
        call(resource.offline)
        assert not call(resource.is_alive)


def test_two_nodes_never_hold_a_disk_at_once(tmp_path: Path) -> None:
    second = disk(tmp_path, "NODE2", epoch=2)
    with online(disk(tmp_path)) as first:
        with pytest.raises(
            ResourceError, match=r"is reserved for group GROUP on NODE1 \(epoch 1\)"
        ) as refused:
            call(second.online)
        assert refused.value.code == 1038
        call(first.offline)
        with online(second):
            assert call(second.is_alive)


def test_a_new_owner_takes_over_from_one_that_died_without_giving_back(tmp_path: Path) -> None:
    first, second = disk(tmp_path), disk(tmp_path, "NODE2", epoch=2)
    call(first.online)
    call(first.terminate)  # the kernel drops the lock of a dead process; the record stays
    with online(second):
        assert call(second.is_alive)


def test_an_old_owner_does_not_come_back(tmp_path: Path) -> None:
    with online(disk(tmp_path, "NODE2", epoch=2)) as resource:
        call(resource.offline)
    with pytest.raises(ResourceError, match="was last reserved for group GROUP on NODE2"):
        call(disk(tmp_path, "NODE1", epoch=1).online)


def test_a_disk_of_another_group_is_refused_until_it_was_given_back(tmp_path: Path) -> None:
    first, other = disk(tmp_path, epoch=7), disk(tmp_path, "NODE2", epoch=3, group_id=2)
    call(first.online)
    call(first.terminate)
    with pytest.raises(ResourceError, match=r"remove .*reservation"):
        call(other.online)
    call(other.terminate)
    call(first.online)
    call(first.offline)
    with online(other):
        assert call(other.is_alive)


def test_a_replaced_lock_file_or_record_is_noticed(tmp_path: Path) -> None:
    with online(disk(tmp_path)) as resource:
        path = tmp_path / "shared" / "evs1"
        reservation.record_file(path).unlink()
        with pytest.raises(ResourceError, match="has lost its reservation record"):
            call(resource.looks_alive)
        reservation.lock_file(path).unlink()
        reservation.lock_file(path).touch()
        with pytest.raises(ResourceError, match="was replaced"):
            call(resource.is_alive)
        shutil.rmtree(path)
        with pytest.raises(ResourceError, match="cannot be listed") as lost:
            call(resource.is_alive)
        assert lost.value.code == 1034


def test_a_path_that_cannot_be_a_directory_fails_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "shared").write_text("a file")
    with pytest.raises(ResourceError, match="cannot be used") as refused:
        call(disk(tmp_path).online)
    assert refused.value.code == 1034


def test_only_the_present_epoch_may_write(tmp_path: Path) -> None:
    path = tmp_path / "shared" / "evs1"
    with online(disk(tmp_path, epoch=1)) as first:
        with fence.writing(path, 1):
            pass
        call(first.offline)
        with pytest.raises(fence.FencedError):
            fence.check(path, 1)
    with online(disk(tmp_path, "NODE2", epoch=2)):
        with pytest.raises(fence.FencedError, match="this process serves epoch 1"), fence.writing(path, 1):
            pass
        fence.check(path, 2)


def test_a_new_owner_waits_for_the_write_under_way(tmp_path: Path) -> None:
    path = tmp_path / "shared" / "evs1"
    first, second = disk(tmp_path), disk(tmp_path, "NODE2", epoch=2)
    call(first.online)
    with fence.writing(path, 1):
        call(first.terminate)
        taking = threading.Thread(target=second.online)
        taking.start()
        taking.join(0.2)
        assert taking.is_alive()
        fence.check(path, 1)
    taking.join(5)
    assert not taking.is_alive()
    with pytest.raises(fence.FencedError):
        fence.check(path, 1)
    call(second.terminate)
