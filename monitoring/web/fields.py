"""Form fields for what a cluster is configured with: lengths of time, private properties.

A number that means something special (4294967295: "the type's value", "never") is never
shown as a number: the form offers the words, and beside them a value of one's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from monitoring.resource_dlls.api import Property, PropertyError

UNITS_MS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zµ]*)", re.IGNORECASE)
_SPELLINGS = {
    "ms": ("ms", "msec", "millisecond", "milliseconds"),
    "s": ("s", "sec", "second", "seconds"),
    "min": ("min", "m", "minute", "minutes"),
    "h": ("h", "hour", "hours"),
    "d": ("d", "day", "days"),
}
_UNIT_OF = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}


def read_duration(text: str) -> int:
    """Milliseconds of "500 ms", "5 s", "1 h 30 min"; a bare number is milliseconds."""
    rest = _PART.sub("", text).strip()
    parts = _PART.findall(text)
    if rest or not parts:
        raise ValidationError(f"{text!r} is no length of time. Write for example 500 ms, 5 s or 15 min.")
    total = 0.0
    for number, spelling in parts:
        unit = _UNIT_OF.get(spelling.lower() or "ms")
        if unit is None:
            raise ValidationError(f"{spelling!r} is no unit of time. Use ms, s, min, h or d.")
        total += float(number) * UNITS_MS[unit]
    if total != int(total):
        raise ValidationError(f"{text!r} is no whole number of milliseconds.")
    return int(total)


def write_duration(ms: int) -> str:
    """The shortest exact form: 900000 is "15 min", 90000 is "90 s", 500 is "500 ms"."""
    for unit in ("d", "h", "min", "s"):
        if ms and ms % UNITS_MS[unit] == 0:
            return f"{ms // UNITS_MS[unit]} {unit}"
    return f"{ms} ms"


class DurationField(forms.Field):
    """A length of time in milliseconds, typed and shown with its unit."""

    def __init__(self, *, minimum: int = 0, maximum: int = 0xFFFFFFFE, **options: Any) -> None:
        super().__init__(**options)
        self.minimum, self.maximum = minimum, maximum

    def prepare_value(self, value: Any) -> Any:
        return write_duration(value) if isinstance(value, int) else value

    def to_python(self, value: Any) -> int | None:
        if value in self.empty_values:
            return None
        ms = value if isinstance(value, int) else read_duration(str(value).strip())
        if ms < self.minimum:
            raise ValidationError(
                f"{write_duration(ms)} is too short: at least {write_duration(self.minimum)}."
            )
        if ms > self.maximum:
            raise ValidationError(
                f"{write_duration(ms)} is too long: at most {write_duration(self.maximum)}."
            )
        return ms


class NumberField(forms.IntegerField):
    """A whole number with bounds that the error names."""

    def __init__(self, *, minimum: int = 0, maximum: int = 0xFFFFFFFE, **options: Any) -> None:
        super().__init__(widget=forms.TextInput(attrs={"inputmode": "numeric"}), **options)
        self.minimum, self.maximum = minimum, maximum

    def prepare_value(self, value: Any) -> Any:
        return value

    def to_python(self, value: Any) -> int | None:
        number = super().to_python(value)
        if number is not None and not self.minimum <= number <= self.maximum:
            raise ValidationError(f"{number} is not within {self.minimum} to {self.maximum}.")
        return number


class WordOrValue(forms.Widget):
    """Two choices: the word for a special number, or a value of one's own beside it."""

    template_name = "forms/word_or_value.html"

    def __init__(self, word: str, special: int) -> None:
        super().__init__()
        self.word, self.special = word, special

    def use_required_attribute(self, initial: Any) -> bool:
        return False

    def id_for_label(self, id_: str, index: str | None = None) -> str:
        return ""

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        if f"{name}.use" not in data:
            return data.get(name)  # a caller that sends the plain number
        return self.special if data[f"{name}.use"] == "word" else data.get(name, "")

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        return f"{name}.use" not in data and name not in data

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        special = value is None or str(value) == str(self.special)
        return render_to_string(
            self.template_name,
            {
                "name": name,
                "special": special,
                "value": "" if special else value,
                "word": self.word,
                "id": (attrs or {}).get("id", f"id_{name}"),
                "described_by": (attrs or {}).get("aria-describedby", ""),
                "invalid": (attrs or {}).get("aria-invalid", ""),
            },
        )


class SpecialDurationField(DurationField):
    """A length of time, or a word that stands for the number `special`."""

    def __init__(
        self, *, word: str, special: int = 0xFFFFFFFF, also: tuple[int, ...] = (), **options: Any
    ) -> None:
        super().__init__(widget=WordOrValue(word, special), **options)
        self.special, self.also = special, also

    def prepare_value(self, value: Any) -> Any:
        if value in (self.special, *self.also):
            return self.special
        return super().prepare_value(value)

    def to_python(self, value: Any) -> int | None:
        return self.special if str(value) == str(self.special) else super().to_python(value)


class SpecialNumberField(NumberField):
    """A whole number, or a word that stands for the number `special`."""

    def __init__(self, *, word: str, special: int = 0xFFFFFFFF, **options: Any) -> None:
        super().__init__(**options)
        self.widget = WordOrValue(word, special)
        self.special = special

    def to_python(self, value: Any) -> int | None:
        return self.special if str(value) == str(self.special) else super().to_python(value)


class PropertyField(forms.Field):
    """A private property of a resource type: its own rules check it, its help explains it."""

    def __init__(self, prop: Property, *, creating: bool) -> None:
        self.property, self.creating = prop, creating
        self.details = prop.details
        super().__init__(
            label=prop.name,
            required=prop.required and not (prop.secret and not creating),
            initial=None if prop.secret else prop.default,
            help_text=_hint(prop),
            widget=_widget(prop, creating),
        )

    def clean(self, value: Any) -> Any:
        if self.property.secret and not self.creating and value in self.empty_values:
            return None  # left as it is
        try:
            return self.property.clean(value)
        except PropertyError as error:
            raise ValidationError(f"{error.message[:1].upper()}{error.message[1:]}.") from None


def _hint(prop: Property) -> str:
    said = prop.help.strip().rstrip(".")
    parts = [f"{said[:1].upper()}{said[1:]}{'' if said.endswith('…') else '.'}"] if said else []
    if prop.minimum is not None and prop.maximum is not None:
        parts.append(f"{prop.minimum} to {prop.maximum}{' ' + prop.unit if prop.unit else ''}.")
    elif prop.unit:
        parts.append(f"In {prop.unit}.")
    if prop.default not in (None, "") and prop.kind != "bool" and not prop.secret:
        parts.append(f"Default: {prop.default}.")
    elif prop.placeholder and not prop.secret:
        parts.append(f"If empty: {prop.placeholder}.")
    return " ".join(parts)


def _widget(prop: Property, creating: bool) -> forms.Widget:
    if prop.choices:
        return forms.Select(choices=[(choice, choice) for choice in prop.choices])
    if prop.kind == "bool":
        return forms.CheckboxInput()
    if prop.secret:
        hint = "" if creating else "unchanged"
        return forms.PasswordInput(attrs={"autocomplete": "new-password", "placeholder": hint})
    attrs: dict[str, Any] = {"autocomplete": "off", "spellcheck": "false"}
    if prop.kind in ("int", "port"):
        attrs["inputmode"] = "numeric"
    if prop.kind in ("path", "command", "ip", "netmask", "netbios"):
        attrs["class"] = "mono"
    if prop.kind == "netbios":
        attrs["maxlength"] = 15
    return forms.TextInput(attrs=attrs)
