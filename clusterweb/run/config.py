"""What the environment asks of a start, and the errors that end one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent.parent


class StartError(Exception):
    """A start that cannot succeed; its text is the one line that the operator reads."""


@dataclass(frozen=True)
class Config:
    """`redis_url` is empty where the embedded broker is to be started."""

    home: Path
    bind: str
    port: int
    redis_url: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Config:
        """Read the variables that clusterweb/settings.py documents; StartError names a wrong one."""
        text = environ.get("CLUSTERWEB_PORT") or "8000"
        if not text.isdecimal() or not 1 <= int(text) <= 65535:
            raise StartError(f"CLUSTERWEB_PORT: {text!r} is not a port (1 to 65535)")
        return cls(
            home=Path(environ.get("CLUSTERWEB_HOME") or BASE_DIR / ".clusterweb").absolute(),
            bind=environ.get("CLUSTERWEB_BIND") or "127.0.0.1",
            port=int(text),
            redis_url=environ.get("CLUSTERWEB_REDIS_URL") or "",
        )

    @property
    def host(self) -> str:
        """The address by which this machine reaches its own dashboard."""
        if self.bind in ("0.0.0.0", ""):
            return "127.0.0.1"
        if self.bind == "::":
            return "::1"
        return self.bind

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"
