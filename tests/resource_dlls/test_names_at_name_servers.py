"""A name at a real name server leads to its group, whichever node runs it, and to no old owner."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.tsig
import dns.update
import pytest

from monitoring.resource_dlls.api import PropertyError, Provider, ResourceDLL, ResourceError
from monitoring.resource_dlls.network_name import dns_names, dns_servers
from monitoring.resource_dlls.network_name.hosts import InHostsFile
from monitoring.resource_dlls.registry import get
from tests.resource_dlls.context import LocalContext, call, free_address, make, online, wait_until
from tests.resource_dlls.name_server import KEY_NAME, SECRET, ZONE, NameServer, name_server

ADDRESSES = ("127.9.9.1", "fd99::50")
BACK = "1.9.9.127.in-addr.arpa"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NameServer]:
    zones = (ZONE, "127.in-addr.arpa")
    with name_server(tmp_path_factory.mktemp("knot"), free_address(), zones) as running:
        yield running


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"EVS{next(_numbers)}"


def context(folder: Path, node: str = "NODE1", epoch: int = 1, **more: Any) -> LocalContext:
    addresses: tuple[str, ...] = more.pop("addresses", ADDRESSES[:1])
    providers = [Provider(f"ip{n}", "IP Address", {"Address": each}) for n, each in enumerate(addresses)]
    return LocalContext(folder / node, node=node, epoch=epoch, providers=providers, **more)


def network_name(server: NameServer, of: LocalContext, name: str, **more: Any) -> ResourceDLL:
    return make("Network Name", of, Name=name, **{**server.properties(), **more})


def full(name: str) -> str:
    return f"{name.lower()}.{ZONE}"


def change(server: NameServer, name: str, *words: Any, zone: str = ZONE) -> None:
    """Somebody else who has the key changes what stands for a full name."""
    update = dns.update.UpdateMessage(zone)
    update.use_tsig(dns.tsig.Key(KEY_NAME, SECRET, "hmac-sha256"))
    update.replace(f"{name}.", 60, *words)
    assert dns.query.tcp(update, server.address, timeout=3, port=server.port).rcode() == 0


def test_a_name_leads_to_its_addresses_of_both_kinds_while_it_is_online(
    server: NameServer, name: str, tmp_path: Path
) -> None:
    here = context(tmp_path, addresses=ADDRESSES)
    with online(network_name(server, here, name)) as resource:
        assert server.ask(full(name)) == [ADDRESSES[0]]
        assert server.ask(full(name), "AAAA") == [ADDRESSES[1]]
        assert call(resource.looks_alive)
        assert call(resource.is_alive)
        assert here.facts["DNS"].text == f"{full(name)} at {server.text}"
        call(resource.offline)
        assert server.ask(full(name)) == server.ask(full(name), "AAAA") == []
        assert not call(resource.looks_alive)


def test_the_time_to_live_is_as_it_was_set(server: NameServer, name: str, tmp_path: Path) -> None:
    with online(network_name(server, context(tmp_path), name, HostRecordTTL=17)):
        answer = dns.query.udp(dns.message.make_query(full(name), "A"), server.address, port=server.port)
        assert answer.answer[0].ttl == 17


def test_a_name_follows_its_group_and_its_old_owner_sees_that_it_is_gone(
    server: NameServer, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns_servers, "CATCH_UP_S", 0.1)
    old = network_name(server, context(tmp_path, "NODE1", 1), name)
    new = network_name(server, context(tmp_path, "NODE2", 2, addresses=("127.9.9.2",)), name)
    call(old.online)
    with online(new):
        assert server.ask(full(name)) == ["127.9.9.2"]
        with pytest.raises(ResourceError, match="leads to 127.9.9.2 at .*, not to 127.9.9.1") as found:
            call(old.is_alive)
        assert found.value.code == 1215
        call(old.terminate)  # withdraws nothing of the new owner's
        with pytest.raises(
            ResourceError, match=rf"{name} is registered at .* for group GROUP on NODE2 \(epoch 2\)"
        ):
            call(old.online)
        assert call(new.is_alive)
        assert server.ask(full(name)) == ["127.9.9.2"]


def test_an_old_owner_sees_that_its_name_is_gone_also_where_the_address_has_stayed_the_same(
    server: NameServer, name: str, tmp_path: Path
) -> None:
    old = network_name(server, context(tmp_path, "NODE1", 1), name)
    call(old.online)
    with online(network_name(server, context(tmp_path, "NODE2", 2), name)):
        with pytest.raises(ResourceError, match=f"{name} is no longer registered at .* to NODE1"):
            call(old.is_alive)
        call(old.offline)
        assert server.ask(full(name)) == [ADDRESSES[0]]


def test_the_memory_of_a_withdrawn_name_keeps_an_old_owner_away(
    server: NameServer, name: str, tmp_path: Path
) -> None:
    new = network_name(server, context(tmp_path, "NODE2", 2), name)
    call(new.online)
    call(new.offline)
    with pytest.raises(ResourceError, match="was last registered at .* remove the TXT record _clusterweb"):
        call(network_name(server, context(tmp_path, "NODE1", 1), name).online)


@pytest.mark.parametrize("known", [False, True])
def test_of_two_owners_that_change_a_name_at_the_same_time_the_newer_has_it(
    server: NameServer, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """The old one has looked already, and changes the name after the new one did."""
    old = network_name(server, context(tmp_path, "NODE1", 1), name)
    if known:
        call(old.online)
        call(old.offline)
    new = network_name(server, context(tmp_path, "NODE2", 2, addresses=("127.9.9.2",)), name)
    check_free = dns_names.NameServer._check_free

    def overtaken(self: dns_names.NameServer, present: Any, entry: dns_names.Entry) -> None:
        check_free(self, present, entry)
        if entry.record.epoch == 1:
            monkeypatch.undo()
            call(new.online)

    monkeypatch.setattr(dns_names.NameServer, "_check_free", overtaken)
    with pytest.raises(ResourceError, match=r"on NODE2 \(epoch 2\)"):
        call(old.online)
    assert server.ask(full(name)) == ["127.9.9.2"]
    call(new.offline)


def test_a_name_of_another_group_or_of_nobody_in_the_cluster_is_refused(
    server: NameServer, name: str, tmp_path: Path
) -> None:
    with online(network_name(server, context(tmp_path), name)):
        other = network_name(server, context(tmp_path, "NODE2", 9, group="OTHER", group_id=2), name)
        with pytest.raises(ResourceError, match="is registered at .* for group GROUP"):
            call(other.online)
    change(server, full(f"{name}B"), "A", "192.0.2.1")
    with pytest.raises(ResourceError, match=r"leads to 192.0.2.1 at .*, which no group has registered"):
        call(network_name(server, context(tmp_path), f"{name}B").online)


def test_a_name_that_somebody_leads_elsewhere_has_failed_and_is_put_right_by_a_restart(
    server: NameServer, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns_servers, "CATCH_UP_S", 0.1)
    with online(network_name(server, context(tmp_path), name)) as resource:
        change(server, full(name), "A", "192.0.2.1")
        with pytest.raises(ResourceError, match="leads to 192.0.2.1") as found:
            call(resource.is_alive)
        assert found.value.code == 1215
        call(resource.terminate)
        call(resource.online)
        assert call(resource.is_alive)
        assert server.ask(full(name)) == [ADDRESSES[0]]


def test_a_new_agent_takes_over_a_name_that_is_still_its_own(
    server: NameServer, name: str, tmp_path: Path
) -> None:
    call(network_name(server, context(tmp_path), name).online)
    dll = get("Network Name")
    values = dll.clean({"Name": name, **server.properties()})
    again = dll(context(tmp_path), values)
    assert call(again.adopt)
    call(again.offline)
    assert server.ask(full(name)) == []
    newer = network_name(server, context(tmp_path, "NODE2", 2), name)
    with online(newer), pytest.raises(ResourceError, match="on NODE2"):
        call(dll(context(tmp_path), values).adopt)


def test_addresses_lead_back_to_the_name_where_that_is_wanted(
    server: NameServer, name: str, tmp_path: Path
) -> None:
    with online(network_name(server, context(tmp_path), name, PublishPTRRecords=True)) as resource:
        assert server.ask(BACK, "PTR") == [f"{full(name)}."]
        change(server, BACK, "PTR", "printer.example.org.", zone="127.in-addr.arpa")
        assert call(resource.is_alive)
        assert server.ask(BACK, "PTR") == [f"{full(name)}."], "it is put right"
        call(resource.offline)
        assert server.ask(BACK, "PTR") == []


def test_a_zone_of_addresses_that_the_server_does_not_have_is_said_and_is_no_failure(
    server: NameServer, name: str, tmp_path: Path
) -> None:
    here = context(tmp_path, addresses=("10.1.2.3",))
    with online(network_name(server, here, name, PublishPTRRecords=True)):
        assert any("do not lead back" in text for _, text, _ in here.lines)
        assert server.ask(full(name)) == ["10.1.2.3"]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"DnsKeySecret": "AAAA"}, f"refuses the key {KEY_NAME}"),
        (
            {"DnsKeyName": "", "DnsKeySecret": ""},
            "to allow updates without a key",
        ),
        ({"DnsZone": "example.net"}, "example.net"),
    ],
)
def test_what_a_name_server_refuses_is_a_warning_or_a_failure_as_it_was_set(
    server: NameServer, name: str, tmp_path: Path, wrong: dict[str, str], text: str
) -> None:
    here = context(tmp_path)
    with online(network_name(server, here, name, **wrong)) as resource:
        assert call(resource.is_alive)
        assert here.facts["DNS"].level == 1
    with pytest.raises(ResourceError, match=text) as refused:
        call(network_name(server, context(tmp_path), name, **wrong, RequireDNS=True).online)
    assert refused.value.code == 1215
    assert SECRET not in str(refused.value)


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_names, "QUERY_S", 0.4)


@pytest.fixture
def silence(impatience: None) -> Iterator[str]:
    """A name server that takes questions and connections, and never says anything."""
    address = free_address()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        udp.bind((address, 5311))
        tcp.bind((address, 5311))
        tcp.listen()
        yield f"{address}:5311"


def test_a_silent_name_server_is_a_warning_and_keeps_nobody_waiting_for_long(
    server: NameServer, silence: str, name: str, tmp_path: Path
) -> None:
    here = context(tmp_path)
    began = time.monotonic()
    with online(network_name(server, here, name, DnsServers=f"{server.text} {silence}")) as resource:
        assert time.monotonic() - began < 2
        assert server.ask(full(name)) == [ADDRESSES[0]]
        assert here.facts["DNS"].level == 1
        assert here.facts["DNS"].text == f"{full(name)} at {server.text}; {silence} does not answer"
        assert call(resource.is_alive)
        began = time.monotonic()
        call(resource.terminate)
        assert time.monotonic() - began < 0.2
        wait_until(lambda: server.ask(full(name)) == [])


def test_a_name_server_that_answers_again_is_told_the_name(
    server: NameServer, name: str, tmp_path: Path, impatience: None
) -> None:
    second = NameServer(tmp_path / "second", free_address())
    here = context(tmp_path)
    both = f"{server.text},{second.text}"
    try:
        with online(network_name(server, here, name, DnsServers=both)) as resource:
            assert "does not answer" in here.facts["DNS"].text
            second.start()
            assert call(resource.is_alive)
            assert second.ask(full(name)) == [ADDRESSES[0]]
            assert (here.facts["DNS"].level, here.facts["DNS"].text) == (
                0,
                f"{full(name)} at {server.text}, {second.text}",
            )
            second.stop()
            assert call(resource.is_alive)
            assert here.facts["DNS"].level == 1
            call(resource.offline)
            assert server.ask(full(name)) == []
            assert any("could not be withdrawn" in text for _, text, _ in here.lines)
    finally:
        second.stop()


def test_without_any_answer_a_name_that_requires_it_has_failed(
    name: str, tmp_path: Path, impatience: None
) -> None:
    nobody = {"DnsServers": f"{free_address()}:5311", "DnsZone": ZONE, "RequireDNS": True}
    with pytest.raises(ResourceError, match="does not answer"):
        call(make("Network Name", context(tmp_path), Name=name, **nobody).online)


class Held:
    """A method that waits, each time it is called, until it may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, method: str) -> None:
        self.called, self._go_on = threading.Event(), threading.Event()
        original = getattr(owner, method)

        def held(*words: Any) -> Any:
            self.called.set()
            assert self._go_on.wait(5)
            return original(*words)

        monkeypatch.setattr(owner, method, held)

    def go_on(self) -> None:
        self._go_on.set()


def aside(entry_point: Any) -> tuple[threading.Thread, list[str]]:
    """Call it on a thread; what it raises is in the list."""
    errors: list[str] = []

    def run() -> None:
        try:
            call(entry_point)
        except ResourceError as error:
            errors.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    return thread, errors


@pytest.mark.parametrize("way", ["DNS", "hosts"])
def test_terminate_while_it_is_registered_leaves_no_name_behind(
    server: NameServer, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    hosts = tmp_path / "hosts"
    if way == "DNS":
        resource = network_name(server, context(tmp_path), name)
        held = Held(monkeypatch, dns_names.NameServer, "_change")
    else:
        resource = make("Network Name", context(tmp_path), Name=name, HostsFile=str(hosts))
        held = Held(monkeypatch, InHostsFile, "publish")
    thread, errors = aside(resource.online)
    assert held.called.wait(5)
    call(resource.terminate)
    held.go_on()
    thread.join(5)
    assert errors == [f"{name} was given up while it was registered"]
    wait_until(lambda: server.ask(full(name)) == [])
    assert not hosts.exists() or f"\t{name}" not in hosts.read_text()


def test_terminate_while_a_silent_server_is_told_leaves_no_name_there(
    server: NameServer, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, impatience: None
) -> None:
    second = NameServer(tmp_path / "second", free_address())
    resource = network_name(server, context(tmp_path), name, DnsServers=f"{server.text},{second.text}")
    call(resource.online)
    second.start()
    try:
        held = Held(monkeypatch, dns_names.NameServer, "_change")
        thread, _ = aside(resource.is_alive)
        assert held.called.wait(5)
        call(resource.terminate)
        held.go_on()
        thread.join(5)
        wait_until(lambda: second.ask(full(name)) == server.ask(full(name)) == [])
        assert second.ask(f"_clusterweb.{full(name)}", "TXT") != [], "it had been told"
    finally:
        second.stop()


def test_a_withdrawal_that_comes_late_leaves_the_name_of_the_next_life_where_it_is(
    server: NameServer, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = network_name(server, context(tmp_path), name)
    call(resource.online)
    with monkeypatch.context() as late:
        held = Held(late, dns_servers.AtNameServers, "_take_back")
        before = threading.enumerate()
        call(resource.terminate)
        (withdrawing,) = set(threading.enumerate()) - set(before)
        assert held.called.wait(5)
        call(resource.online)
        held.go_on()
        withdrawing.join(5)
    assert server.ask(full(name)) == [ADDRESSES[0]]
    assert call(resource.is_alive)
    call(resource.offline)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("DnsServers", {"DnsServers": "ns.example.org", "DnsZone": ZONE}),
        ("DnsServers", {"DnsServers": "10.0.0.1:99999", "DnsZone": ZONE}),
        ("DnsZone", {"DnsServers": "10.0.0.1"}),
        ("DnsZone", {"DnsServers": "10.0.0.1", "DnsZone": "example..org"}),
        ("DnsKeySecret", {"DnsServers": "10.0.0.1", "DnsZone": ZONE, "DnsKeyName": "k"}),
        (
            "DnsKeySecret",
            {"DnsServers": "10.0.0.1", "DnsZone": ZONE, "DnsKeyName": "k", "DnsKeySecret": "n t"},
        ),
        ("DnsKeyName", {"DnsServers": "10.0.0.1", "DnsZone": ZONE, "DnsKeySecret": "QUJD"}),
        ("RequireDNS", {"RequireDNS": True}),
        ("HostRecordTTL", {"HostRecordTTL": 0}),
        ("DnsKeyAlgorithm", {"DnsKeyAlgorithm": "hmac-md5"}),
    ],
)
def test_what_does_not_fit_together_is_refused(field: str, values: dict[str, Any]) -> None:
    with pytest.raises(PropertyError) as refused:
        get("Network Name").clean({"Name": "EVS1", **values})
    assert refused.value.field == field
    assert "n t" not in str(refused.value)


def test_name_servers_are_given_by_address_with_or_without_a_port(tmp_path: Path) -> None:
    from monitoring.resource_dlls.network_name.properties import servers

    assert servers(" 10.0.0.2, 10.0.0.3:5353,[fd00::2]:54 fd00::3 [fd00::4]") == [
        ("10.0.0.2", 53),
        ("10.0.0.3", 5353),
        ("fd00::2", 54),
        ("fd00::3", 53),
        ("fd00::4", 53),
    ]
