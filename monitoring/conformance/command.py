"""python -m monitoring.resource_dlls.conformance TYPE: the suite on the command line."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from monitoring.conformance.report import Result
from monitoring.conformance.subject import InputError, make
from monitoring.conformance.suite import CHECKS, run

if TYPE_CHECKING:
    from monitoring.conformance.report import Report

DESCRIPTION = """\
Tests a resource type against what the plugin API promises, with real processes, on a node of its own.
It brings the resource online many times and kills agents: give it properties that may be used for that.
"""
BAD_INPUT = 2


def main(argv: Sequence[str] | None = None) -> int:
    """0: it conforms; 1: a check failed; 2: the suite was asked for something that cannot be."""
    options = _parser().parse_args(argv)
    if options.list:
        _say("\n".join(f"{name:<20} {text}" for name, text in CHECKS.items()))
        return 0
    if not options.type:
        _complain("name a resource type, or a class as module:Class")
        return BAD_INPUT
    logging.basicConfig(level=logging.DEBUG if options.verbose else logging.CRITICAL)
    try:
        report = _run(options)
    except InputError as error:
        _complain(str(error))
        return BAD_INPUT
    _say(report.as_json() if options.json else report.summary())
    return 0 if report.passed else 1


def _run(options: argparse.Namespace) -> Report:
    providers = [(name, _values(given)) for name, *given in options.provider]
    subject = make(options.type, _values(options.set), providers)

    def tell(result: Result) -> None:
        if not options.json:
            _say("\n".join(result.lines()))

    return run(subject, checks=options.check, tell=tell)


def _values(given: Sequence[str]) -> dict[str, str]:
    """Property=value, each."""
    found = {}
    for text in given:
        name, is_given, value = text.partition("=")
        if not is_given:
            raise InputError(f"{text!r} is not of the form Property=value")
        found[name] = value
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m monitoring.resource_dlls.conformance", description=DESCRIPTION
    )
    parser.add_argument("type", nargs="?", help="module:Class, or the name of an installed type")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PROPERTY=VALUE", help="a property; may be repeated"
    )
    parser.add_argument(
        "--provider",
        action="append",
        default=[],
        nargs="+",
        metavar=("TYPE", "PROPERTY=VALUE"),
        help="a resource that it depends on, brought online before it; may be repeated, in that order",
    )
    parser.add_argument(
        "--check", action="append", default=[], metavar="NAME", help="only this one; may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="list the checks, and end")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--verbose", action="store_true", help="show the logs as well")
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _complain(text: str) -> None:
    sys.stderr.write(f"conformance: {text}\n")
