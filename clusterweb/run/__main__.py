"""`python -m clusterweb.run`: start a cluster on this machine; Ctrl-C stops it.

Exit code 0 after a stop, 2 where it could not start (one line on standard error says why).
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys

from clusterweb.run.config import Config, StartError
from clusterweb.run.supervisor import Supervisor

NEEDED = (
    "celery",
    "channels_redis",
    "csp",
    "daphne",
    "django",
    "django_htmx",
    "msgspec",
    "redis",
    "whitenoise",
)


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    try:
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise StartError(
                f"the installation is incomplete (no {', '.join(missing)}): `make clean`, then `make run`"
            )
        asyncio.run(_run())
    except StartError as error:
        print(f"clusterweb: {error}", file=sys.stderr, flush=True)
        return 2
    return 0


async def _run() -> None:
    await Supervisor(Config.from_environment(), _say).run()


if __name__ == "__main__":
    sys.exit(main())
