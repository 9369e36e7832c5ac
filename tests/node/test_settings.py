"""A setting that is missing or wrong is named in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from monitoring.node.settings import SettingsError, load

GOOD = {"CLUSTERWEB_NODE": "NODE1", "CLUSTERWEB_NODE_KEY": "key", "CLUSTERWEB_NODE_HOME": "/var/lib/node"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"CLUSTERWEB_NODE": ""}, "CLUSTERWEB_NODE is not set"),
        ({"CLUSTERWEB_NODE_HOME": ""}, "CLUSTERWEB_NODE_HOME is not set"),
        (
            {"CLUSTERWEB_NODE_KEY": ""},
            "neither CLUSTERWEB_NODE_KEY nor CLUSTERWEB_NODE_KEY_FILE is set",
        ),
        (
            {"CLUSTERWEB_NODE_KEY": "", "CLUSTERWEB_NODE_KEY_FILE": "/nowhere"},
            "CLUSTERWEB_NODE_KEY_FILE: /nowhere cannot be read: No such file or directory",
        ),
        (
            {"CLUSTERWEB_REDIS_URL": "6379"},
            "CLUSTERWEB_REDIS_URL: this is no redis, rediss, sentinel or sentinels address",
        ),
        ({"CLUSTERWEB_SERVICE_URL": "ftp://x"}, "CLUSTERWEB_SERVICE_URL: this is no http or https address"),
        ({"CLUSTERWEB_NODE_STOP_S": "soon"}, "CLUSTERWEB_NODE_STOP_S: soon is no number of seconds"),
    ],
)
def test_a_bad_setting_is_refused_by_name(changes: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=f"^{message}$"):
        load(GOOD | changes)


def test_the_key_is_read_from_a_file_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    settings = load(GOOD | {"CLUSTERWEB_NODE_KEY": "", "CLUSTERWEB_NODE_KEY_FILE": str(tmp_path / "key")})
    assert settings.key == "secret"
    assert "secret" not in repr(settings)


def test_the_agent_ends_with_code_2_and_one_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "monitoring.node"], env={}, capture_output=True, text=True, timeout=30
    )
    assert (ended.returncode, ended.stderr) == (2, "clusterweb node: CLUSTERWEB_NODE is not set\n")
