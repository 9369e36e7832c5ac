"""An address is on one node at a time, and is taken back even from a dead agent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from monitoring.resource_dlls.api import PropertyError, ResourceError
from monitoring.resource_dlls.registry import get
from tests.resource_dlls.context import LocalContext, call, free_address, make, online


def loopback(tmp_path: Path, address: str, node: str = "NODE1"):
    return make(
        "IP Address", LocalContext(tmp_path / node, node=node), Address=address, SubnetMask="255.0.0.0"
    )


def test_two_nodes_never_hold_an_address_at_once(tmp_path: Path) -> None:
    address = free_address()
    first, second = loopback(tmp_path, address), loopback(tmp_path, address, "NODE2")
    with online(first):
        assert call(first.looks_alive)
        with pytest.raises(ResourceError, match="in use on this machine") as refused:
            call(second.online)
        assert refused.value.code == 1049
        call(first.offline)
        assert not call(first.is_alive)
        with online(second):
            assert call(second.is_alive)


def test_an_address_that_is_given_up_while_it_comes_online_is_held_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = free_address()
    interrupted = loopback(tmp_path, address)
    take_claim = interrupted._take_claim

    def take_claim_late():
        interrupted.terminate()
        return take_claim()

    monkeypatch.setattr(interrupted, "_take_claim", take_claim_late)
    with pytest.raises(ResourceError, match="given up while it came online"):
        call(interrupted.online)
    with online(loopback(tmp_path, address, "NODE2")) as other:
        assert call(other.is_alive)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("Address", {"Address": "300.1.1.1", "SubnetMask": "255.0.0.0"}),
        ("Address", {"Address": "::1", "SubnetMask": "255.0.0.0"}),
        ("Address", {"Address": "fe80::5", "SubnetMask": "64", "Network": "eth0"}),
        ("Address", {"Address": "ff02::5", "SubnetMask": "64", "Network": "eth0"}),
        ("Address", {"Address": "fd00::", "SubnetMask": "64", "Network": "eth0"}),
        ("Address", {"Address": "::ffff:10.0.0.5", "SubnetMask": "64", "Network": "eth0"}),
        ("Address", {"Address": "10.0.0.0", "SubnetMask": "24", "Network": "eth0"}),
        ("SubnetMask", {"Address": "10.0.0.5", "SubnetMask": "32", "Network": "eth0"}),
        ("SubnetMask", {"Address": "10.0.0.5", "SubnetMask": "64", "Network": "eth0"}),
        ("SubnetMask", {"Address": "fd00::5", "SubnetMask": "129", "Network": "eth0"}),
        ("Network", {"Address": "fd00::5", "SubnetMask": "64"}),
        ("Address", {"Address": "224.0.0.1", "SubnetMask": "255.0.0.0", "Network": "eth0"}),
        ("Address", {"Address": "10.0.0.255", "SubnetMask": "255.255.255.0", "Network": "eth0"}),
        ("SubnetMask", {"Address": "127.1.1.1", "SubnetMask": "255.255.255.255"}),
        ("SubnetMask", {"Address": "127.1.1.1"}),
        ("Network", {"Address": "10.0.0.5", "SubnetMask": "255.255.255.0"}),
    ],
)
def test_what_cannot_be_an_address_is_refused(field: str, values: dict[str, str]) -> None:
    with pytest.raises(PropertyError) as refused:
        get("IP Address").clean(values)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("address", "mask", "found"),
    [
        ("10.0.0.5", "255.255.255.0", "10.0.0.5/24"),
        ("10.0.0.5", "24", "10.0.0.5/24"),
        ("10.0.0.5", "/28", "10.0.0.5/28"),
        ("10.0.0.4", "31", "10.0.0.4/31"),
        ("FD00:0::5", "64", "fd00::5/64"),
        ("fd00::5", "128", "fd00::5/128"),
        ("fd00::", "127", "fd00::/127"),
    ],
)
def test_a_subnet_is_given_as_a_mask_or_as_the_length_of_a_prefix(
    tmp_path: Path, address: str, mask: str, found: str
) -> None:
    values = {"Address": address, "SubnetMask": mask, "Network": "eth0"}
    resource = make("IP Address", LocalContext(tmp_path), **values)
    assert str(resource.address) == found  # type: ignore[attr-defined]
    again = make("IP Address", LocalContext(tmp_path), **resource.clean(values))
    assert str(again.address) == found  # type: ignore[attr-defined]


def test_the_loopback_address_of_ipv6_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    first, second = (
        make("IP Address", LocalContext(tmp_path / node, node=node), Address="::1", SubnetMask="128")
        for node in ("NODE1", "NODE2")
    )
    with online(first):
        assert call(first.is_alive)
        with pytest.raises(ResourceError, match="::1 is in use on this machine"):
            call(second.online)


def test_the_demo_loads_no_library_for_interfaces(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.resource_dlls.context import *;"
        f"c = LocalContext(Path('{tmp_path}'));"
        f"r = make('IP Address', c, Address='{free_address()}', SubnetMask='8');"
        "call(r.online); call(r.is_alive); call(r.terminate); sys.exit('pyroute2' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])


def test_who_may_not_add_an_address_is_told_which_rights_it_takes(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give its rights up")
    script = (
        "import os; from pathlib import Path; from tests.resource_dlls.context import *;"
        f"c = LocalContext(Path('{tmp_path}/state')); os.chown(c.state_dir, 65534, 65534); "
        "r = make('IP Address', c, Address='10.99.0.50', SubnetMask='24', Network='eth7');"
        "from monitoring.resource_dlls.ip_address import placement, netlink;"
        "link = netlink.links()[0];"
        "placement.Placement.check_free = lambda self, any_subnet: link;"
        "netlink.link = lambda name: link;"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: call(r.online)\n"
        "except Exception as error: print(error)"
    )
    tmp_path.chmod(0o755)
    argv = ["unshare", "--net", sys.executable, "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert "CAP_NET_ADMIN and CAP_NET_RAW" in done.stdout, done.stdout + done.stderr
