"""Print what the OCF agents of this machine say of themselves, for a dashboard without them.

python -m monitoring.resource_dlls.ocf > ocf-catalogue.json
"""

from __future__ import annotations

import sys

from monitoring.resource_dlls.ocf.catalogue import dump, installed


def main() -> int:
    found = installed()
    sys.stdout.buffer.write(dump(found) + b"\n")
    sys.stderr.write(f"{len(found)} OCF agents\n")
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
