"""`manage.py startdll` makes a plugin that works as it is, and nothing where it cannot."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HIDDEN = ("DJANGO_SETTINGS_MODULE", "PYTHONPATH")


def run(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in HIDDEN}
    return subprocess.run(words, cwd=cwd, env=kept | environment, capture_output=True, text=True, timeout=100)


def startdll(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, str(ROOT / "manage.py"), "startdll", *words, cwd=cwd)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("author")
    made = startdll("greeting_server", cwd=folder)
    assert made.returncode == 0, made.stderr
    return folder / "greeting_server"


def test_the_tests_of_a_new_plugin_pass_as_they_are(plugin: Path) -> None:
    tested = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=plugin)
    assert tested.returncode == 0, tested.stdout
    assert re.search(r"\n6 passed", tested.stdout), "none is skipped"


def test_the_conformance_suite_runs_as_its_readme_says(plugin: Path) -> None:
    (line,) = re.findall(r"^ +(PYTHONPATH=.*)$", (plugin / "README.md").read_text(), re.MULTILINE)
    setting, python, *words = shlex.split(line)
    assert python == "python"
    checked = run(
        sys.executable,
        *words,
        "--check",
        "class",
        "--check",
        "properties",
        cwd=plugin,
        PYTHONPATH=setting.partition("=")[2],
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.splitlines()[-1] == "Greeting Server: 2 pass"


def test_a_new_plugin_keeps_to_the_style_of_the_house(plugin: Path) -> None:
    for words in (["check"], ["format", "--check"]):
        judged = run(
            sys.executable, "-m", "ruff", *words, "--config", str(ROOT / "pyproject.toml"), ".", cwd=plugin
        )
        assert judged.returncode == 0, judged.stdout


def test_nothing_is_overwritten(plugin: Path) -> None:
    mine = plugin / "greeting_server" / "dll.py"
    before = mine.read_text()
    again = startdll("greeting_server", "--directory", str(plugin.parent), cwd=ROOT)
    assert again.returncode == 2
    assert f"{plugin} exists; nothing was changed" in again.stderr
    assert mine.read_text() == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Greeting", "use lower-case letters, digits and single underscores"),
        ("greeting-server", "use lower-case letters"),
        ("_server", "use lower-case letters"),
        ("../server", "use lower-case letters"),
        ("a" * 41, "at most 40 are allowed"),
        ("lambda", "is a word of the Python language"),
        ("socket", "there is a Python module socket already"),
        ("monitoring", "there is a Python module monitoring already"),
        ("generic_script", "there is a resource type Generic Script already"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_the_reason(name: str, text: str, tmp_path: Path) -> None:
    from monitoring.management import plugins

    with pytest.raises(plugins.PluginError, match=re.escape(text)):
        plugins.names(name)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = startdll("greeting_server", "--directory", "nowhere", cwd=tmp_path)
    assert missing.returncode == 2
    assert "nowhere is no folder" in missing.stderr
    assert not list(tmp_path.iterdir())
