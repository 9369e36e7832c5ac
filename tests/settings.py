"""Settings of the tests in one process: an empty home, no broker, nothing of a running cluster."""

import atexit
import os
import shutil
import tempfile

_home = tempfile.mkdtemp(prefix="clusterweb-test-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["CLUSTERWEB_HOME"] = _home
os.environ["CLUSTERWEB_REDIS_URL"] = "redis://127.0.0.1:1/0"  # nothing listens there
os.environ["CLUSTERWEB_OCF_ROOT"] = ""  # what types there are does not depend on the machine
os.environ.pop("DATABASE_URL", None)

from clusterweb.settings import *  # noqa: E402, F403

# A file: threads that share a database in memory lock each other out. Nothing in it need last.
DATABASES["default"]["TEST"] = {"NAME": f"{_home}/test.sqlite3"}  # noqa: F405
DATABASES["default"]["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"  # noqa: F405
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast, and nothing to protect
