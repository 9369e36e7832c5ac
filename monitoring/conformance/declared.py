"""Checks of what a type declares: its texts, its properties, what it says to values. Nothing is started."""

from __future__ import annotations

import json
import re
from typing import Any

from monitoring.conformance.report import Failure, NotApplicable
from monitoring.conformance.subject import Subject
from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import Property, PropertyError

LONGEST_NAME = 200
ODD = (
    "",
    None,
    "x",
    "0",
    "1",
    "-1",
    0,
    -1,
    2**40,
    "a b",
    "'",
    '"',
    "\\",
    "a" * 5000,
    "\n",
    "é",
    "1.5",
    "/",
    ":",
    "@",
)
"""Values that somebody gives sooner or later."""
BAD: dict[str, Any] = {
    "int": "twelve",
    "port": "70000",
    "bool": "perhaps",
    "ip": "300.1.2.3",
    "netmask": "255.0.255.0",
    "netbios": "TWO WORDS",
    "path": "no/absolute/path",
}
CHOICE = "none of the choices"


def check_class(subject: Subject) -> list[str]:
    """The class can be registered, and its texts stand where operators read them."""
    dll = subject.dll
    try:
        registry.check(dll)
    except TypeError as error:
        raise Failure(str(error), "see the table of entry points in docs/resource-dlls.md") from None
    name = dll.type_name
    if len(name) > LONGEST_NAME or name != name.strip() or not name.isprintable():
        raise Failure(
            f"type_name {name!r} is no name",
            f"one line of at most {LONGEST_NAME} characters, without space around it",
        )
    for attribute in ("looks_alive_ms", "is_alive_ms", "pending_timeout_ms"):
        if not (isinstance(value := getattr(dll, attribute), int) and value >= 10):
            raise Failure(f"{attribute} is {value!r}", "give it in milliseconds, 10 or more")
    if dll.deadlock_timeout_ms < 30_000:
        raise Failure(f"deadlock_timeout_ms is {dll.deadlock_timeout_ms}", "give it 30000 or more")
    warnings = []
    if not dll.description:
        warnings.append("it has no description, which is what operators choose a type by")
    if dll.looks_alive_ms > dll.is_alive_ms and dll.polls_looks_alive:
        warnings.append("looks_alive_ms is longer than is_alive_ms: LooksAlive finds nothing earlier")
    return warnings


def check_properties(subject: Subject) -> list[str]:
    """Each property has a name and a help text; defaults are values that the type takes itself."""
    warnings = []
    for prop in subject.dll.properties:
        where = f"property {prop.name}"
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", prop.name):
            raise Failure(f"{where} has no usable name", "letters, digits and _ only, a letter first")
        if not prop.help.strip():
            raise Failure(
                f"{where} has no help text", "say in a few words what the value is for, and its form"
            )
        if prop.required and prop.default is not None:
            raise Failure(f"{where} is required and has a default", "drop one of the two")
        if prop.minimum is not None and prop.maximum is not None and prop.minimum > prop.maximum:
            raise Failure(f"{where}: its minimum is above its maximum", "swap them")
        if prop.secret and prop.default:
            raise Failure(f"{where} is secret and has a default", "a secret that stands in the code is none")
        warnings += _check_default(prop)
    return warnings


def _check_default(prop: Property) -> list[str]:
    if prop.default is None:
        return (
            [f"property {prop.name} is a bool without a default"]
            if prop.kind == "bool" and not prop.required
            else []
        )
    try:
        cleaned = prop.clean(prop.default)
    except PropertyError as error:
        raise Failure(f"the default of property {error}", "give a default that is valid, or none") from None
    if prop.default != "" and (cleaned != prop.default or type(cleaned) is not type(prop.default)):
        raise Failure(
            f"the default of property {prop.name} is {prop.default!r}, and its clean form {cleaned!r}",
            "write the default as the validated value is",
        )
    return []


def check_values(subject: Subject) -> list[str]:
    """Wrong values are refused by the name of their field, and by nothing else."""
    good = dict(subject.resource.properties)
    if "NoSuchProperty" in good:
        raise NotApplicable("it has a property NoSuchProperty")
    _refused(subject, {**good, "NoSuchProperty": "1"}, "NoSuchProperty")
    for prop in subject.dll.properties:
        if prop.required:
            _refused(subject, {**good, prop.name: ""}, prop.name)
        bad = CHOICE if prop.choices else BAD.get(prop.kind)
        if bad is not None:
            _refused(subject, {**good, prop.name: bad}, prop.name)
        if prop.kind == "int" and prop.maximum is not None:
            _refused(subject, {**good, prop.name: prop.maximum + 1}, prop.name)
        if prop.kind == "int" and prop.minimum is not None:
            _refused(subject, {**good, prop.name: prop.minimum - 1}, prop.name)
        for odd in ODD:
            _judged(subject, {**good, prop.name: odd})
    return []


def _refused(subject: Subject, values: dict[str, Any], field: str) -> None:
    error = _judged(subject, values)
    if error is None:
        raise Failure(
            f"{field} = {values[field]!r} is accepted",
            "leave clean() as it is, and refuse in check() what is wrong",
        )
    if error.field != field:
        raise Failure(
            f"{field} = {values[field]!r} is refused with the field {error.field}",
            "PropertyError(field, text) names the property that is wrong: the form marks it",
        )


def _judged(subject: Subject, values: dict[str, Any]) -> PropertyError | None:
    """The refusal of values; Failure where it is none that a form can show."""
    try:
        subject.dll.clean(values)
    except PropertyError as error:
        known = {prop.name for prop in subject.dll.properties} | {"NoSuchProperty"}
        if error.field not in known:
            raise Failure(
                f"a value is refused with the field {error.field!r}, which is no property",
                "PropertyError(field, text) names the property that is wrong",
            ) from None
        return error
    except Exception as error:
        changed = [
            f"{name} = {value!r}"
            for name, value in values.items()
            if value != subject.resource.properties.get(name)
        ]
        raise Failure(
            f"{', '.join(changed)[:200]} raises {type(error).__name__}: {error}",
            "check() raises PropertyError(field, text) and nothing else; other properties may be empty",
        ) from None
    return None


def check_round_trip(subject: Subject) -> list[str]:
    """Properties survive storage: what was validated is valid, and stays as it is."""
    once = dict(subject.resource.properties)
    try:
        stored = json.loads(json.dumps(once))
    except (TypeError, ValueError) as error:
        raise Failure(
            f"properties cannot be stored: {error}", "values are texts, whole numbers and bools"
        ) from None
    try:
        again = subject.dll.clean(stored)
    except PropertyError as error:
        raise Failure(
            f"a validated value is refused: {error}", "check() takes what it has taken before"
        ) from None
    if again != once:
        changed = [name for name in once if again.get(name) != once[name]]
        raise Failure(
            f"validated a second time, {', '.join(changed)} is another value",
            "check() and kinds change nothing twice",
        )
    return []


def check_secret_words(subject: Subject) -> list[str]:
    """What is wrong with a secret is said without the secret."""
    secrets = [prop for prop in subject.dll.properties if prop.secret]
    if not secrets:
        raise NotApplicable("it has no secret property")
    for prop in secrets:
        word = "S3cr3t-0f-th3-su1t3'\""
        try:
            subject.dll.clean({**subject.resource.properties, prop.name: word})
        except PropertyError as error:
            if word in str(error):
                raise Failure(
                    f"the text about a wrong {prop.name} quotes it",
                    "say what was wrong with it without quoting it",
                ) from None
    return []
