"""A new Exchange Virtual Server in one form: group, address, name, disk, System Attendant.

All of it is created in one transaction, or nothing: the System Attendant brings the other
Exchange resources with it (semantics 6.3). Administrators only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from monitoring.models import Group, Node
from monitoring.service import topology
from monitoring.service.lock import cluster_lock
from monitoring.web.edits import carry_out, done, who
from monitoring.web.fields import PropertyField
from monitoring.web.forms import PRIVATE, TopologyForm
from monitoring.web.resources import dll_of
from monitoring.web.roles import require_administrator


@dataclass(frozen=True, slots=True)
class Part:
    """A resource that the form asks for: what it is called behind the group's name, its type."""

    key: str
    title: str
    type_name: str
    lead: str
    shown: tuple[str, ...] = ()
    """Properties that stand open beside those that must be filled in, first."""


PARTS = (
    Part(
        "ip",
        "IP Address",
        "IP Address",
        "The static address that clients reach, whichever node serves them.",
        ("Address", "SubnetMask", "Network"),
    ),
    Part("name", "Network Name", "Network Name", "The NetBIOS name that clients use. No node has it."),
    Part(
        "disk",
        "Disk",
        "Physical Disk",
        "Storage of its own, which all possible owners reach.",
        ("Path", "Device"),
    ),
    Part(
        "attendant",
        "System Attendant",
        "Exchange System Attendant",
        "Brings the Information Store, the protocols and the rest.",
        ("Servers", "Tree", "CertificateFile", "KeyFile"),
    ),
)

STORES = ("Exchange Information Store", "Exchange Information Store (Dovecot)")


class ExchangeForm(TopologyForm):
    """The group's name, its first preferred owner, and the private properties of the parts."""

    group = forms.CharField(
        max_length=40, label="Name of the group", help_text="Its resources get names that begin with it."
    )
    description = forms.CharField(required=False, label="Description")
    owner = forms.ModelChoiceField(
        Node.objects.order_by("id"),
        required=False,
        label="Preferred owner",
        empty_label="Any node",
        help_text="Tried first; all other nodes follow in their order.",
    )

    mailboxes = forms.CharField(
        required=False,
        label="Mailboxes",
        help_text="Names, separated by commas. There is always a postmaster.",
    )
    mailbox_password = forms.CharField(
        required=False,
        label="Password of the mailboxes",
        help_text="If empty: a random one, until you set another on the Information Store.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.missing = [part.type_name for part in PARTS if dll_of(part.type_name) is None]
        for part in PARTS:
            dll = dll_of(part.type_name)
            for prop in dll.properties if dll else ():
                self.fields[f"{part.key}.{prop.name}"] = PropertyField(prop, creating=True)
        self.order_fields([name for name in self.fields if name != "reason"] + ["reason"])

    def sections(self) -> list[tuple[Part, list[forms.BoundField], list[forms.BoundField]]]:
        """The parts with the fields that must be filled in, and those that can be left alone."""
        found = []
        for part in PARTS:
            own = {name: self[name] for name in self.fields if name.startswith(f"{part.key}.")}
            first = [own[name] for name in (f"{part.key}.{each}" for each in part.shown) if name in own]
            shown = first + [f for f in own.values() if f not in first and (f.field.required or f.errors)]
            found.append((part, shown, [f for f in own.values() if f not in shown]))
        return found

    def mail(self) -> dict[str, Any]:
        """Private properties of the Information Store, those that were filled in."""
        given = {"Mailboxes": "mailboxes", "MailboxPassword": "mailbox_password"}
        return {name: value for name, field in given.items() if (value := self.cleaned_data[field])}

    def properties(self, part: Part) -> dict[str, Any]:
        """The private properties of one part, by their own names."""
        head = f"{part.key}."
        return {n.removeprefix(head): v for n, v in self.cleaned_data.items() if n.startswith(head)}


@require_administrator
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """The form, and what comes of it."""
    form = ExchangeForm(request.POST or None)
    made: list[Group] = []
    if request.method == "POST" and carry_out(form, lambda: made.append(_create(form, who(request)))):
        group = made[0]
        count = group.resources.count()
        return done(request, f"{group} was created with {count} resources. It is offline.", "group", group.pk)
    return render(request, "groups/exchange.html", {"form": form}, status=422 if form.errors else 200)


def _create(form: ExchangeForm, by: str) -> Group:
    values = form.cleaned_data
    reason = values["reason"]
    with cluster_lock():
        with _refusals_of({"name": "group"}):
            group = topology.create_group(
                {"name": values["group"], "description": values["description"]}, by=by, reason=reason
            )
        if values["owner"]:
            others = Node.objects.exclude(pk=values["owner"].pk).order_by("id")
            order = [values["owner"].pk, *others.values_list("pk", flat=True)]
            topology.set_preferred_owners(group.pk, order, by=by, reason=reason)
        made: dict[str, int] = {}
        for part in PARTS:
            requires = [[made["ip"]]] if part.key == "name" else None if part.key == "attendant" else []
            with _refusals_of({}, part.key):
                resource = topology.create_resource(
                    group.pk,
                    part.type_name,
                    {"name": f"{group.name} {part.title}"},
                    properties=form.properties(part),
                    requires=requires,
                    by=by,
                    reason=reason,
                )
            made[part.key] = resource.pk
        if mail := form.mail():
            store = group.resources.get(created_by=made["attendant"], type__name__in=STORES)
            with _refusals_of({f"{PRIVATE}Mailboxes": "mailboxes"}):
                topology.edit_resource(store.pk, {}, properties=mail, by=by, reason=reason)
    return group


@contextmanager
def _refusals_of(names: dict[str, str], part: str = "") -> Iterator[None]:
    """Refusals in terms of this form's fields: "properties.Address" of the address is "ip.Address"."""
    try:
        yield
    except ValidationError as error:
        if not hasattr(error, "error_dict"):
            raise
        renamed: dict[str, list[str]] = {}
        for field, messages in error.message_dict.items():
            own = names.get(field, NON_FIELD_ERRORS)
            if part and field.startswith(PRIVATE):
                own = f"{part}.{field.removeprefix(PRIVATE)}"
            renamed.setdefault(own, []).extend(messages)
        raise ValidationError(renamed) from None
