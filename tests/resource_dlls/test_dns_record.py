"""DNS Record, asked of a real name server."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from monitoring.resource_dlls.api import PropertyError
from monitoring.resource_dlls.registry import get
from tests.cluster.installation import free_port
from tests.resource_dlls.context import LocalContext, call, online, wait_until
from tests.resource_dlls.probing import DNS, address, context, probe, refusal

__all__ = ["address", "context"]

ZONE = """$ORIGIN example.com.
@ 60 SOA ns admin 1 60 60 60 60
@ 60 NS ns
ns 60 A 127.0.0.1
www 60 A 192.0.2.1
www 60 A 192.0.2.2
www 60 AAAA 2001:db8::1
alias 60 CNAME www
@ 60 MX 10 mail
@ 60 TXT "v=spf1 -all"
"""


REVERSE = """$ORIGIN 2.0.192.in-addr.arpa.
@ 60 SOA ns.example.com. admin 1 60 60 60 60
@ 60 NS ns.example.com.
1 60 PTR www.example.com.
"""


@pytest.fixture(scope="module")
def name_server(tmp_path_factory: pytest.TempPathFactory, address: str) -> Iterator[int]:
    """A real name server that knows example.com; gives its port."""
    program = shutil.which("knotd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("needs the package knot (make packages)")
    folder = tmp_path_factory.mktemp("knot")
    (folder / "example.com.zone").write_text(ZONE)
    (folder / "2.0.192.in-addr.arpa.zone").write_text(REVERSE)
    port = free_port()
    (folder / "knot.conf").write_text(
        f"server:\n  listen: {address}@{port}\n  rundir: {folder}\n  udp-workers: 1\n  tcp-workers: 1\n"
        f"  background-workers: 1\ndatabase:\n  storage: {folder}\nzone:\n  - domain: example.com\n"
        f"    storage: {folder}\n  - domain: 2.0.192.in-addr.arpa\n    storage: {folder}\n"
        "log:\n  - target: stderr\n    any: error\n"
    )
    with subprocess.Popen([program, "--config", folder / "knot.conf"]) as server:
        wait_until(lambda: _knows_the_zone(address, port))
        yield port
        server.terminate()


def _knows_the_zone(address: str, port: int) -> bool:
    asked = ["dig", "+short", "+tries=1", "+time=1", f"@{address}", "-p", str(port), "www.example.com"]
    return "192.0.2.1" in subprocess.run(asked, capture_output=True, text=True).stdout


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_name_resolves_to_what_is_expected(context: LocalContext, name_server: int, transport: str) -> None:
    asked = {"Port": name_server, "Transport": transport, "Name": "www.example.com"}
    with online(probe(DNS, context, **asked, Expected="192.0.2.2, 192.0.2.1", Exactly=True)) as resource:
        assert call(resource.is_alive)
        assert context.facts["Record"].text == "www.example.com is 192.0.2.1, 192.0.2.2"
    assert "says that www.example.com is 192.0.2.1, 192.0.2.2, not 192.0.2.1" in refusal(
        probe(DNS, context, **asked, Expected="192.0.2.1", Exactly=True)
    )
    assert ", not 192.0.2.9" in refusal(probe(DNS, context, **asked, Expected="192.0.2.9"))


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("www.example.com", "AAAA", "2001:DB8:0::1"),
        ("alias.example.com", "CNAME", "www.example.com"),
        ("alias.example.com", "A", "192.0.2.1"),
        ("example.com.", "MX", "10 mail.example.com."),
        ("example.com", "TXT", "v=spf1 -all"),
        ("192.0.2.1", "PTR", "www.example.com"),
        ("1.2.0.192.in-addr.arpa", "PTR", "www.example.com"),
    ],
)
def test_records_of_all_kinds_are_compared_as_people_write_them(
    context: LocalContext, name_server: int, name: str, kind: str, value: str
) -> None:
    call(probe(DNS, context, Port=name_server, Name=name, Type=kind, Expected=value).online)


def test_a_name_that_is_not_there_is_said(context: LocalContext, name_server: int) -> None:
    asked = {"Port": name_server, "Name": "nobody.example.com"}
    assert "says NXDOMAIN of nobody.example.com" in refusal(probe(DNS, context, **asked))
    asked["Name"] = "ns.example.com"
    assert "knows no AAAA record of ns.example.com" in refusal(probe(DNS, context, **asked, Type="AAAA"))
    said = refusal(probe(DNS, context, Port=free_port(), Name="www.example.com", Timeout=1))
    assert "does not answer" in said or "did not answer within 1 s" in said


@pytest.mark.parametrize(
    ("field", "properties"),
    [
        ("Name", {"Name": "two words"}),
        ("Name", {"Name": "www..example.com"}),
        ("Name", {"Name": "2001:db8::1"}),
        ("Expected", {"Name": "a.example", "Exactly": True}),
        ("Expected", {"Name": "a.example", "Expected": "www"}),
        ("Expected", {"Name": "a.example", "Type": "AAAA", "Expected": "192.0.2.1"}),
    ],
)
def test_settings_of_a_dns_record_that_cannot_be_are_refused(field: str, properties: dict[str, Any]) -> None:
    with pytest.raises(PropertyError) as refused:
        get(DNS).clean(properties)
    assert refused.value.field == field
