"""Forms of fencing: a device with the properties of its method, and its place in a node's levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django import forms

from monitoring.fencing import registry
from monitoring.fencing.api import FenceError, Property
from monitoring.models import FenceDevice, FenceStep
from monitoring.web.fields import DurationField, NumberField, PropertyField
from monitoring.web.forms import PRIVATE, TopologyForm

USUAL = ("ip", "ipport", "username", "password", "plug")
"""Parameters of fence agents that are shown first, also where they are not required."""


class _WithProperties(TopologyForm):
    """A form with properties of a method. One that was emptied goes back to its default."""

    def private_values(self) -> dict[str, Any]:
        """What was typed, by name; a secret that was left empty stays as it is."""
        return {
            name.removeprefix(PRIVATE): "" if value is None else value
            for name, value in self.cleaned_data.items()
            if name.startswith(PRIVATE) and not (value is None and self._is_secret(name))
        }

    def _is_secret(self, name: str) -> bool:
        field = self.fields[name]
        return isinstance(field, PropertyField) and field.property.secret

    def add_property(self, prop: Property, *, creating: bool) -> PropertyField:
        field = PropertyField(prop, creating=creating)
        if prop.choices and prop.default is None:
            field.widget.choices = [("", "not set"), *((one, one) for one in prop.choices)]
        self.fields[PRIVATE + prop.name] = field
        return field


class FenceDeviceForm(_WithProperties):
    """Name, description and the method's own properties; what is rarely set is folded away."""

    name = forms.CharField(max_length=63)
    description = forms.CharField(required=False, max_length=500)

    def __init__(
        self, properties: Sequence[Property], *args: Any, creating: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.properties = properties
        for prop in properties:
            # The method knows what may be left to each node, and says so
            self.add_property(replace(prop, required=False), creating=creating)
        self.order_fields([name for name in self.fields if name != "reason"] + ["reason"])

    @classmethod
    def of(cls, device: FenceDevice, properties: Sequence[Property], data: Any = None) -> FenceDeviceForm:
        secret = {prop.name for prop in properties if prop.secret}
        initial: dict[str, Any] = {"name": device.name, "description": device.description}
        initial |= {PRIVATE + name: v for name, v in device.parameters.items() if name not in secret}
        return cls(properties, data, initial=initial)

    def first(self) -> list[forms.BoundField]:
        return [self[PRIVATE + prop.name] for prop in self.properties if self._is_first(prop)]

    def more(self) -> list[forms.BoundField]:
        return [self[PRIVATE + prop.name] for prop in self.properties if not self._is_first(prop)]

    def has_hidden_errors(self) -> bool:
        """True where an error stands among the properties that are folded away."""
        return any(field.errors for field in self.more())

    @staticmethod
    def _is_first(prop: Property) -> bool:
        return prop.required or prop.name in USUAL


class FenceStepForm(_WithProperties):
    """The level, the times, and what the node sets for itself."""

    level = NumberField(minimum=1, maximum=9, initial=1, help_text="Level 1 is tried first.")
    delay_ms = DurationField(
        maximum=600_000, initial=0, label="Delay", help_text="Before the first try, for example for a dump."
    )
    timeout_ms = DurationField(
        minimum=1000,
        maximum=1_800_000,
        initial=60_000,
        label="Timeout",
        help_text="Of one try. After it all of the agent is ended.",
    )
    retries = NumberField(maximum=20, initial=1, help_text="Tries after the first, before the next level.")

    def __init__(self, device: FenceDevice, *args: Any, creating: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.own = own_properties(device)
        for prop in self.own:
            needed = prop.required and prop.name not in device.parameters and (creating or not prop.secret)
            field = self.add_property(replace(prop, required=needed), creating=creating)
            if not prop.secret and prop.name in device.parameters:
                field.help_text = f"{field.help_text} Empty: {device.parameters[prop.name]}, as the device."
        self.order_fields([name for name in self.fields if name != "reason"] + ["reason"])

    @classmethod
    def of(cls, step: FenceStep, data: Any = None) -> FenceStepForm:
        names = ("level", "delay_ms", "timeout_ms", "retries")
        initial: dict[str, Any] = {name: getattr(step, name) for name in names}
        secret = {prop.name for prop in own_properties(step.device) if prop.secret}
        initial |= {PRIVATE + name: v for name, v in step.parameters.items() if name not in secret}
        return cls(step.device, data, creating=False, initial=initial)

    def private(self) -> list[forms.BoundField]:
        return [self[PRIVATE + prop.name] for prop in self.own]


def own_properties(device: FenceDevice) -> list[Property]:
    """What each node sets for itself; nothing where the method is not installed here."""
    try:
        method = registry.get(device.method)
        return [prop for prop in method.properties(device.kind) if method.is_per_node(device.kind, prop.name)]
    except FenceError:
        return []
