"""The form behind the wizard of new groups: all steps are one form, of which one step is shown.

What was typed in other steps travels in hidden fields, so that going back loses nothing and
nothing is kept on the server. Secrets are the exception: they are asked for in the last step,
and never sent back to the browser.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.http import QueryDict
from django.utils.translation import gettext, gettext_lazy

from monitoring.models import Node
from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import Property
from monitoring.service import making
from monitoring.service.group_templates import GroupTemplate, Part
from monitoring.service.group_templates.api import REFERENCE
from monitoring.web.fields import PropertyField
from monitoring.web.forms import TopologyForm

STEPS = {
    "what": gettext_lazy("What"),
    "owners": gettext_lazy("Name and owners"),
    "settings": gettext_lazy("Settings"),
    "preview": gettext_lazy("Preview"),
}
OWNERS = ("group", "description", "owner", "owners")
FEW = 8
"""So many types are offered as a list to click on; more as a field with suggestions."""
SHOWN_OF_MANY = 4
"""Parameters that stand open where a type neither needs any nor says which matter."""


@dataclass(frozen=True, slots=True)
class PartFields:
    """A part with its fields: those that stand open, and those that are folded away."""

    part: Part
    type_name: str
    description: str
    shown: list[forms.BoundField]
    folded: list[forms.BoundField]

    @property
    def open(self) -> bool:
        """An error stands among those that are folded away."""
        return any(field.errors for field in self.folded)


@dataclass(frozen=True, slots=True)
class PartChoice:
    """A part in the first step. `field` is None where there is nothing to say."""

    part: Part
    type_name: str
    field: forms.BoundField | None
    suggestions: list[tuple[str, str]]


class WizardForm(TopologyForm):
    """All that a template asks for. `self.types`: of which type each part is, by what is said so far."""

    group = forms.CharField(
        max_length=40,
        label=gettext_lazy("Name of the group"),
        help_text=gettext_lazy("Its resources get names that begin with it."),
    )
    description = forms.CharField(required=False, label=gettext_lazy("Description"))
    owner = forms.ModelChoiceField(
        Node.objects.order_by("id"),
        required=False,
        label=gettext_lazy("Preferred owner"),
        empty_label=gettext_lazy("Any node"),
        help_text=gettext_lazy("Tried first; all other nodes follow in their order."),
    )
    owners = forms.MultipleChoiceField(
        required=False,
        label=gettext_lazy("Possible owners"),
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("The nodes that may run it. All of them: also nodes that are added later."),
    )

    def __init__(self, template: GroupTemplate, data: QueryDict | None = None) -> None:
        super().__init__(data)
        self.template = template
        self.nodes = list(Node.objects.order_by("id"))
        ids = [str(node.pk) for node in self.nodes]
        owners = self.fields["owners"]
        assert isinstance(owners, forms.MultipleChoiceField)
        owners.choices = [(str(node.pk), node.name) for node in self.nodes]
        owners.initial = ids
        for part in template.parts:
            if (field := _choice(part)) is not None:
                self.fields[part.key] = field
        self.types = self._types()
        for part in template.parts:
            for prop in making.properties_of(part, self.types[part.key]):
                self.fields[f"{part.key}.{prop.name}"] = _property_field(part, prop)
        self.steps = [step for step in STEPS if step != "what" or self.of_step("what")]
        if data is not None:
            self.data = self._completed(data)

    def _types(self) -> dict[str, str]:
        """The type of each part, "" for one that is left out or of a type that is not known yet."""
        said = {part.key: self.data[part.key] for part in self.template.parts if part.key in self.data}
        found = {}
        for part in self.template.parts:
            try:
                found[part.key] = making.chosen(part, said)
            except ValidationError:
                found[part.key] = ""
        return found

    def _completed(self, data: QueryDict) -> QueryDict:
        """What was sent, with the defaults of fields that were not on any page yet."""
        full = data.copy()
        for name, field in self.fields.items():
            if name not in full and field.initial is not None and not _is_secret(field):
                full.setlist(name, field.initial if isinstance(field.initial, list) else [field.initial])
        full.setlist("owners", [value for value in full.getlist("owners") if value])
        return full

    # Steps

    def step_of(self, name: str) -> str:
        """The step in which a field is shown."""
        field = self.fields.get(name)
        if name in OWNERS:
            return "owners"
        if name == "reason" or field is None or _is_secret(field):
            return "preview"
        return "settings" if "." in name else "what"

    def of_step(self, step: str) -> list[str]:
        return [name for name in self.fields if self.step_of(name) == step]

    def first_wrong(self, before: str = "") -> str:
        """The first step with an error, of those before `before`; "" where there is none."""
        wrong = {self.step_of(name) for name in self.errors if name != NON_FIELD_ERRORS}
        steps = self.steps[: self.steps.index(before)] if before else self.steps
        return next((step for step in steps if step in wrong), "")

    def forget_errors(self, kept: str) -> None:
        """Say nothing yet about steps after `kept`."""
        later = self.steps[self.steps.index(kept) + 1 :] if kept else self.steps
        for name in [n for n in self.errors if n != NON_FIELD_ERRORS and self.step_of(n) in later]:
            del self.errors[name]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        for part in self.template.parts:
            try:
                making.chosen(part, {part.key: self.data[part.key]} if part.key in self.data else {})
            except ValidationError as error:
                for text in error.messages:
                    self.add_error(part.key if part.key in self.fields else None, text)
        if self.nodes and not values.get("owners") and "owners" not in self.errors:
            self.add_error("owners", gettext("Tick at least one node: without any it could never run."))
        return values

    def plan(self) -> making.Plan:
        """What is to be made by a valid form."""
        values = self.cleaned_data
        keys = {part.key: self.types[part.key] or "no" for part in self.template.parts if not part.of}
        private = {name: values[name] for name in self.fields if "." in name and values.get(name) is not None}
        ticked = [int(id) for id in values["owners"]]
        owner = values["owner"].pk if values["owner"] else None
        return making.plan(
            self.template,
            values["group"],
            keys | private,
            settings={"description": values["description"]},
            preferred=making.owner_first(owner),
            possible=[] if len(ticked) == len(self.nodes) else ticked,
        )

    # What the pages show

    def hidden(self, step: str) -> Iterator[tuple[str, str]]:
        """Name and value of all that travels along unseen: other steps, and parts that were left out."""
        for name in self.fields:
            if self.step_of(name) not in (step, "preview"):
                for value in _texts(self[name].value()):
                    yield name, value
        secret = self._secret_names()
        for name in self.data:
            part = self.template.part(name.partition(".")[0])
            if part is not None and "." in name and name not in self.fields and name not in secret:
                yield name, str(self.data[name])

    def _secret_names(self) -> set[str]:
        """Keys of secrets, of whichever type a part could be."""
        return {
            f"{part.key}.{prop.name}"
            for part in self.template.parts
            for type_name in making.types_of(part)
            for prop in making.properties_of(part, type_name)
            if prop.secret
        }

    def choices(self) -> list[PartChoice]:
        """The parts as the first step shows them."""
        found = []
        for part in self.template.parts:
            field = self[part.key] if part.key in self.fields else None
            wide = field is not None and isinstance(field.field, forms.CharField)
            offered = making.types_of(part) if wide else []
            about = [(name, registry.all_types()[name].description) for name in offered]
            found.append(PartChoice(part, self.types[part.key], field, about))
        return found

    def sections(self) -> list[PartFields]:
        """The parts that are there, with their fields."""
        found = []
        for part in self.template.parts:
            head = f"{part.key}."
            names = [n for n in self.of_step("settings") if n.startswith(head)]
            own = {n: self[n] for n in names}
            wanted = [head + name for name in part.shown if head + name in own]
            first = wanted + [n for n in own if n not in wanted and own[n].field.required]
            if not first:
                first = list(own)[:SHOWN_OF_MANY]
            dll = registry.all_types().get(self.types[part.key])
            if dll is not None and own:
                folded = [own[n] for n in own if n not in first]
                about = "" if part.lead else dll.description
                found.append(PartFields(part, dll.type_name, about, [own[n] for n in first], folded))
        return found

    def secrets(self) -> list[forms.BoundField]:
        return [self[name] for name, field in self.fields.items() if _is_secret(field)]


def _is_secret(field: forms.Field) -> bool:
    return isinstance(field, PropertyField) and bool(field.property.secret)


def _texts(value: Any) -> list[str]:
    """A value as the texts of hidden fields."""
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [str(each) for each in value]
    return [str(value)]


def _choice(part: Part) -> forms.Field | None:
    """What there is to say about a part in the first step."""
    if part.of:
        return None
    if not making.has_choice(part):
        label = gettext("With it")
        return (
            forms.BooleanField(required=False, initial=part.included, label=label) if part.optional else None
        )
    offered = making.types_of(part)
    if len(offered) > FEW:
        return forms.CharField(
            label=gettext("Which"),
            widget=forms.TextInput(
                attrs={"list": f"types-{part.key}", "autocomplete": "off", "spellcheck": "false"}
            ),
            help_text=gettext("Begin to type: %(count)d are installed here.") % {"count": len(offered)},
        )
    types = registry.all_types()
    choices: list[tuple[str, str]] = [(name, f"{name}: {types[name].description}") for name in offered]
    if part.optional:
        choices.append(("no", gettext("None")))
    first = offered[0] if offered and (part.included or not part.optional) else "no"
    if part.types[0].endswith(":"):
        first = ""  # none of them is the usual one
    return forms.ChoiceField(choices=choices, initial=first, label=gettext("Which"), widget=forms.RadioSelect)


def _property_field(part: Part, prop: Property) -> PropertyField:
    """The field of a property; where the template has a value for an empty one, it may be empty."""
    text = part.defaults.get(prop.name)
    if text is None and not part.of:
        field = PropertyField(prop, creating=True)
        field.label = f"{part.heading}: {prop.name}" if prop.secret else prop.name
        return field
    field = PropertyField(replace(prop, required=False), creating=True)
    if text is None or REFERENCE.search(text):
        field.initial = None
    else:
        field.initial = text
    if text is not None and field.initial is None:
        said = REFERENCE.sub(_spelled, text)
        field.help_text = f"{field.help_text} {gettext('If empty')}: {said}.".strip()
    return field


def _spelled(match: Any) -> str:
    """A reference in words: "the group's name", "Path of the disk"."""
    if match["part"] is None:
        return gettext("the name of the group")
    return gettext("%(property)s of the %(part)s") % {"property": match["name"], "part": match["part"]}
