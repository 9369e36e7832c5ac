"""A name leads to the group's address on whichever node it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitoring.resource_dlls.api import PropertyError, Provider, ResourceError
from monitoring.resource_dlls.network_name.names import NameRegistry
from monitoring.resource_dlls.registry import get
from tests.resource_dlls.context import LocalContext, call, make, online

ADDRESS = Provider("ip", "IP Address", {"Address": "127.9.9.1", "EnableNetBIOS": True})


def network_name(tmp_path: Path, node: str = "NODE1", epoch: int = 1, name: str = "evs1", **extra):
    context = LocalContext(tmp_path / node, node=node, epoch=epoch, **{"providers": [ADDRESS], **extra})
    return make("Network Name", context, Name=name, RegistryPath=str(tmp_path / "names"))


@pytest.mark.parametrize("name", ["A" * 16, "EVS 1", "EVS.1", "EVS/1", "ÄVS1", "", "EVS*"])
def test_a_name_that_is_no_netbios_name_is_refused(name: str) -> None:
    with pytest.raises(PropertyError) as refused:
        get("Network Name").clean({"Name": name})
    assert refused.value.field == "Name"


def test_an_online_name_is_found_with_its_address(tmp_path: Path) -> None:
    names = NameRegistry(tmp_path / "names")
    with online(network_name(tmp_path)) as resource:
        assert names.addresses("EVS1") == ("127.9.9.1",)
        assert (tmp_path / "names" / "hosts").read_text() == "127.9.9.1\tEVS1\n"
        assert call(resource.looks_alive)
        assert call(resource.is_alive)
        call(resource.offline)
        assert names.addresses("EVS1") == ()
        assert (tmp_path / "names" / "hosts").read_text() == ""


def test_the_directory_may_come_from_the_environment_of_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUSTERWEB_NAMES", str(tmp_path / "common"))
    context = LocalContext(tmp_path / "state", providers=[ADDRESS])
    with online(make("Network Name", context, Name="EVS1")):
        assert NameRegistry(tmp_path / "common").addresses("EVS1") == ("127.9.9.1",)


def test_the_name_of_the_node_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResourceError) as refused:
        call(network_name(tmp_path, name="node1").online)
    assert refused.value.code == 1050


def test_a_newer_owner_takes_the_name_and_the_old_one_sees_it(tmp_path: Path) -> None:
    old, new = network_name(tmp_path, "NODE1", 1), network_name(tmp_path, "NODE2", 2)
    call(old.online)
    with online(new):
        with pytest.raises(ResourceError, match="no longer registered to NODE1"):
            call(old.is_alive)
        call(old.offline)  # withdraws nothing of the new owner's
        assert call(new.is_alive)
        with pytest.raises(ResourceError, match=r"registered for group GROUP on NODE2 \(epoch 2\)"):
            call(old.online)


def test_the_memory_of_a_withdrawn_name_keeps_an_old_owner_away(tmp_path: Path) -> None:
    with online(network_name(tmp_path, "NODE2", 2)):
        pass
    with pytest.raises(ResourceError, match="was last registered"):
        call(network_name(tmp_path, "NODE1", 1).online)


def test_a_name_in_use_by_another_group_is_refused(tmp_path: Path) -> None:
    with online(network_name(tmp_path)), pytest.raises(ResourceError, match="is registered for group GROUP"):
        call(network_name(tmp_path, "NODE2", 9, group="OTHER", group_id=2).online)


def test_an_address_without_netbios_bears_no_name(tmp_path: Path) -> None:
    bare = Provider("ip", "IP Address", {"Address": "127.9.9.1", "EnableNetBIOS": False})
    with pytest.raises(ResourceError, match="EnableNetBIOS"):
        call(network_name(tmp_path, providers=[bare]).online)


def test_what_can_be_no_name_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "OUTSIDE.json").write_text("{}")
    assert NameRegistry(tmp_path / "names").addresses("../outside") == ()
