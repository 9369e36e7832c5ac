"""Start the agent of one node: `python -m monitoring.node`. Settings: see `settings`."""

from __future__ import annotations

import logging
import os
import sys
import warnings

from monitoring.node.settings import SettingsError, load


def main() -> int:
    """Run the agent until it is told to stop. Exit code 1: the home is taken; 2: bad settings."""
    if sys.argv[1:2] == ["join"]:
        from monitoring.node.join import join

        return join(sys.argv[2:])
    try:
        settings = load(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"clusterweb node: {error}\n")
        return 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("celery", "kombu"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Celery's warning about root is about pickled tasks; this worker takes signed JSON only.
    warnings.filterwarnings("ignore", message="You're running the worker with superuser")

    from monitoring.node.agent import Agent
    from monitoring.node.home import HomeBusyError
    from monitoring.resource_dlls import registry

    try:
        broken = [str(plugin) for plugin in registry.broken()]
        return Agent(settings, registry.all_types(), broken).run()
    except HomeBusyError as error:
        sys.stderr.write(f"clusterweb node: {error}\n")
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
