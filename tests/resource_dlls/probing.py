"""What the tests of probes share: a group with an address, a site, a certificate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitoring.resource_dlls.api import Provider, ResourceDLL, ResourceError
from tests.resource_dlls.context import LocalContext, call, free_address, make
from tests.resource_dlls.endpoints import Site, make_certificate, web_server

HTTP, TCP, DNS, CERTIFICATE = "HTTP Endpoint", "TCP Port", "DNS Record", "Certificate"


@pytest.fixture(scope="module")
def address() -> str:
    return free_address()


@pytest.fixture
def context(tmp_path: Path, address: str) -> LocalContext:
    return LocalContext(tmp_path / "state", providers=[Provider("ip", "IP Address", {"Address": address})])


@pytest.fixture
def site(address: str) -> Iterator[Site]:
    with web_server(address) as made:
        yield made


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory, address: str) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"), address, days=100)


def probe(type_name: str, context: LocalContext, **properties: Any) -> ResourceDLL:
    return make(type_name, context, **{"StartTimeout": 0, "Attempts": 1, **properties})


def refusal(resource: ResourceDLL) -> str:
    """Why it does not come online."""
    with pytest.raises(ResourceError) as refused:
        call(resource.online)
    return str(refused.value)
