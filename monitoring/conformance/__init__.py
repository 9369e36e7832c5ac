"""The conformance suite: whether a resource type keeps what the plugin API promises of it.

Plugin authors reach it as `monitoring.resource_dlls.conformance`. It runs a type on the node's
own code, so it stands above the node; no other room needs it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from monitoring.conformance.nursery import Nursery
from monitoring.conformance.report import Outcome, Report, Result
from monitoring.conformance.subject import InputError, make
from monitoring.conformance.suite import CHECKS, run
from monitoring.conformance.trial import Trial, resource
from monitoring.resource_dlls.api import ResourceDLL

__all__ = ["CHECKS", "InputError", "Nursery", "Outcome", "Report", "Result", "Trial", "check", "resource"]


def check(
    dll: str | type[ResourceDLL],
    properties: Mapping[str, Any] | None = None,
    *,
    providers: Sequence[tuple[str | type[ResourceDLL], Mapping[str, Any]]] = (),
    checks: Collection[str] = (),
    nursery: Nursery | None = None,
) -> Report:
    """Run the suite over one type, in this process and some of its own.

        def test_it_conforms():
            report = check(MyType, {"Port": 7000}, providers=[("IP Address", {"Address": "127.0.0.9"})])
            assert report.passed, report

    `dll`: the class, "module:Class" or the name of an installed type. `providers`: what the
    resource depends on, in the order in which it comes online. `checks`: some of CHECKS only.
    `nursery`: one for several runs saves the start of a process for each. InputError: the suite
    was asked for something that cannot be.
    """
    return run(make(dll, properties, providers), checks=checks, nursery=nursery)
