"""The conformance suite, as plugin authors reach it; what it is made of is in `monitoring.conformance`.

    python -m monitoring.resource_dlls.conformance my_package:MyType --set Port=7000
    from monitoring.resource_dlls.conformance import check, resource

It runs a type as a node does, with the node's own code, and so stands floors above the plugin
API. This door is the one exception from the order of the floors; nothing that runs on a node
imports it.
"""

from monitoring.conformance import (
    CHECKS,
    InputError,
    Nursery,
    Outcome,
    Report,
    Result,
    Trial,
    check,
    resource,
)

__all__ = ["CHECKS", "InputError", "Nursery", "Outcome", "Report", "Result", "Trial", "check", "resource"]

if __name__ == "__main__":
    from monitoring.conformance.command import main

    raise SystemExit(main())
