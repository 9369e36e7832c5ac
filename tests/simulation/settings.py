"""Settings of the simulation: the database is in memory, and nobody else looks at it."""

from tests.settings import *  # noqa: F403

DATABASES["default"]["NAME"] = ":memory:"  # noqa: F405
DATABASES["default"]["OPTIONS"] = {  # noqa: F405
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA synchronous=OFF;",
}
DATABASES["default"]["CONN_MAX_AGE"] = None  # noqa: F405
DATABASES["default"]["CONN_HEALTH_CHECKS"] = False  # noqa: F405
