"""Which types there are, and what a plugin can and cannot do to the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import PropertyError
from tests import plugins

PLUGIN = """
from monitoring.resource_dlls.api import Property, ResourceDLL

class QueueServer(ResourceDLL):
    type_name = {type_name!r}
    properties = (Property("Port", kind="port", default=5672),)
    def online(self): pass
    def terminate(self): pass
    def is_alive(self): return True
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a distribution of one module, with an entry point, into a path of its own."""
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.refresh()

    def install(module: str, source: str, value: str) -> None:
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[{registry.ENTRY_POINT_GROUP}]\n{module} = {value}\n")

    yield install
    registry.refresh()


def test_the_built_in_types_are_found_in_their_folders() -> None:
    assert {
        "Generic Application",
        "Generic Script",
        "IP Address",
        "Network Name",
        "Physical Disk",
    } <= set(registry.all_types())
    assert registry.broken() == ()


def test_a_plugin_is_found_through_its_entry_point(site) -> None:
    site("queue_plugin", PLUGIN.format(type_name="Queue Server"), "queue_plugin:QueueServer")
    dll = registry.get("Queue Server")
    assert dll.clean({"Port": "25"}) == {"Port": 25}
    with pytest.raises(PropertyError, match="Port: 70000 is not a port"):
        dll.clean({"Port": 70000})


def test_an_entry_point_may_name_a_module_that_exports_several(site) -> None:
    source = PLUGIN.format(type_name="Queue Server") + "\n__all__ = ['QueueServer']\n"
    site("queue_module", source, "queue_module")
    assert registry.get("Queue Server").__module__ == "queue_module"


@pytest.mark.parametrize(
    ("source", "value", "reason"),
    [
        ("import no_such_module", "bad:Dll", "no_such_module"),
        ("raise SystemExit(3)", "bad:Dll", "SystemExit: 3"),
        ("class Dll: pass", "bad:Dll", "neither a ResourceDLL class"),
        (PLUGIN.format(type_name=""), "bad:QueueServer", "has no type_name"),
        (PLUGIN.format(type_name="IP Address"), "bad:QueueServer", "offers the type 'IP Address' already"),
        (
            PLUGIN.replace("'port'", "'prt'").replace('"port"', '"prt"').format(type_name="Q"),
            "bad:QueueServer",
            "'prt'",
        ),
        (PLUGIN.replace("def is_alive", "def alive").format(type_name="Q"), "bad:QueueServer", "is_alive()"),
    ],
)
def test_a_broken_plugin_is_reported_and_breaks_no_other(site, source: str, value: str, reason: str) -> None:
    sys.modules.pop("bad", None)
    site("bad", source, value)
    assert "IP Address" in registry.all_types()
    (broken,) = registry.broken()
    assert (broken.name, broken.source) == ("bad", "bad 1.2")
    assert reason in broken.reason


def test_an_unknown_type_tells_what_could_not_be_loaded(site) -> None:
    sys.modules.pop("bad", None)
    site("bad", "import no_such_module", "bad:Dll")
    with pytest.raises(
        registry.UnknownTypeError, match=r"no resource DLL offers the type 'Queue Server'.*bad"
    ):
        registry.get("Queue Server")


HEAVY = ("twisted", "django", "celery", "sqlite3", "psycopg", "dns", "cryptography")


def test_listing_the_types_loads_no_server_library() -> None:
    check = (
        "import sys; from monitoring.resource_dlls import registry; registry.all_types();"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_a_process_finds_what_pip_installs_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with plugins.site(tmp_path / "site", monkeypatch) as folder:
        assert "Queue Server" not in registry.all_types()
        before = registry.all_types()
        assert registry.all_types() is before, "nothing has changed: nothing is loaded anew"
        folder.install("queue_found_later")
        assert registry.all_types()["Queue Server"].__module__ == "queue_found_later"


def test_what_is_half_installed_is_looked_at_again_once_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with plugins.site(tmp_path / "site", monkeypatch) as folder:
        folder.install("queue_in_parts", "raise ImportError('half of it')")
        record = folder.folder / "queue_in_parts-1.2.dist-info" / "RECORD"
        record.unlink()
        assert registry.broken()[0].reason == "ImportError: half of it"
        (folder.folder / "queue_in_parts.py").write_text(plugins.SOURCE.format(type_name="Queue Server"))
        record.write_text("")
        assert "Queue Server" in registry.all_types()
        assert registry.broken() == ()
