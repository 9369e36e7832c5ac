"""A planted mistake: the guard never hears of a lease, so a frozen agent's services live on.

The chaos run has to notice (`--plant guard`).
"""

import sys

if "monitoring.node" in sys.orig_argv:
    from monitoring.node.keeper import GuardKeeper

    GuardKeeper.renew = lambda self, ends, margin: None  # type: ignore[method-assign]
