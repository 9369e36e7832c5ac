"""A process of its own: guesses at one password by many threads at once, on the database of DATABASE_URL.

Prints one line of JSON: how many were looked at, had to wait, and broke, each round anew.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter

import django


def main(rounds: int, threads: int) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "clusterweb.settings"
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from monitoring.access import throttle

    found: list[str] = []

    def guess() -> None:
        try:
            throttle.reserve(throttle.buckets("administrator", "203.0.113.9", None))
            found.append("looked at")
        except throttle.TooManyError:
            found.append("waits")
        except Exception as error:
            found.append(repr(error))
        finally:
            connection.close()

    call_command("migrate", verbosity=0)
    for _ in range(rounds):
        throttle.forget()
        found.clear()
        running = [threading.Thread(target=guess) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        print(json.dumps(Counter(found)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
