"""Forms of the topology: groups, resources with their private properties, virtual servers.

Fields are named as the model's, private properties "properties.<Name>"; these are the names
that the topology service refuses under, so that every refusal appears beside its field. The
service decides what is valid; a form only reads what was typed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db.models import Model

from monitoring.models import Node, Resource, ResourceType
from monitoring.models.topology import PRIORITIES
from monitoring.resource_dlls.api import ResourceDLL
from monitoring.web.fields import (
    DurationField,
    NumberField,
    PropertyField,
    SpecialDurationField,
    SpecialNumberField,
    write_duration,
)

HOURS = [(-1, "any time"), *((hour, f"{hour:02}:00") for hour in range(24))]
PRIVATE = "properties."
RESTART_ACTIONS: list[tuple[Any, Any]] = list(Resource._meta.get_field("restart_action").flatchoices)


class TopologyForm(forms.Form):
    """A form whose errors may come from the topology service, and whose edits carry a reason."""

    reason = forms.CharField(
        required=False, max_length=500, label="Reason", help_text="Kept in the history, beside your name."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order_fields([name for name in self.fields if name != "reason"] + ["reason"])

    @classmethod
    def showing(cls, row: Model, data: Any = None) -> Self:
        """The form with what `row` holds now, and what was typed over it."""
        names = [name for name in cls.base_fields if name != "reason"]
        return cls(data, initial={name: getattr(row, name) for name in names})

    def refuse(self, error: ValidationError) -> None:
        """Show what the service refused, beside the fields that it named."""
        by_field: Mapping[str, list[str]] = (
            error.message_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.messages}
        )
        for field, messages in by_field.items():
            for message in messages:
                self.add_error(field if field in self.fields else None, message)

    def values(self) -> dict[str, Any]:
        """What was typed, without the reason and private properties."""
        return {
            name: value
            for name, value in self.cleaned_data.items()
            if name != "reason" and not name.startswith(PRIVATE)
        }

    def private_values(self) -> dict[str, Any]:
        """The private properties that were typed, by their own names."""
        return {
            name.removeprefix(PRIVATE): value
            for name, value in self.cleaned_data.items()
            if name.startswith(PRIVATE) and value is not None
        }


class GroupForm(TopologyForm):
    """The properties of a group (semantics 3.3)."""

    name = forms.CharField(max_length=63)
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    priority = forms.TypedChoiceField(choices=PRIORITIES, coerce=int, initial=2000, help_text="Start order.")
    failover_threshold = SpecialNumberField(
        word="One less than there are nodes",
        initial=0xFFFFFFFF,
        label="FailoverThreshold",
        help_text="Failovers within the period before the cluster gives the group up.",
    )
    failover_period_hours = NumberField(
        minimum=0,
        maximum=1193,
        initial=6,
        label="FailoverPeriod",
        help_text="Hours, 0 to 1193.",
    )
    auto_failback = forms.BooleanField(
        required=False,
        label="Fail back to the preferred owner",
        help_text="As soon as it is up again, within the hours below. Needs preferred owners.",
    )
    failback_window_start = forms.TypedChoiceField(
        choices=HOURS, coerce=int, initial=-1, label="FailbackWindowStart", help_text="Cluster local time."
    )
    failback_window_end = forms.TypedChoiceField(
        choices=HOURS, coerce=int, initial=-1, label="FailbackWindowEnd", help_text="May be past midnight."
    )
    anti_affinity = forms.CharField(
        required=False,
        max_length=200,
        label="AntiAffinityClassNames",
        help_text="Groups that share a name avoid one node. Separate names by commas.",
    )


class ClusterForm(TopologyForm):
    """The cluster's own settings (semantics 3.5 and 10.11)."""

    name = forms.CharField(max_length=63)
    heartbeat_interval_ms = DurationField(
        minimum=50, maximum=2000, label="Heartbeat interval", help_text="Between the heartbeats of a node."
    )
    lease_ms = DurationField(
        minimum=500,
        maximum=120_000,
        label="Lease",
        help_text="How long a node may run without an answer. A shorter one is a shorter outage.",
    )
    margin_ms = DurationField(
        minimum=50,
        maximum=10_000,
        label="Margin",
        help_text="On top of the lease, before another node may start a group.",
    )
    resiliency_period_s = NumberField(
        minimum=0,
        maximum=3600,
        label="ResiliencyPeriod",
        help_text="Seconds that a node that is cut off runs on before its groups go elsewhere. 0: a lease.",
    )
    quarantine_threshold = NumberField(
        minimum=0,
        maximum=100,
        label="QuarantineThreshold",
        help_text="A node that drops out so often within an hour takes no groups for a while. 0: never.",
    )
    quarantine_duration_s = NumberField(
        minimum=60, maximum=604_800, label="QuarantineDuration", help_text="How long that is, in seconds."
    )
    max_storage_groups_per_node = NumberField(
        minimum=1, maximum=1000, label="Storage groups on one node", help_text="A move beyond is refused."
    )
    enforced_anti_affinity = forms.BooleanField(
        required=False,
        label="Enforce anti-affinity",
        help_text="Anti-affine groups never share a node, even if one stays offline.",
    )


class NodeForm(TopologyForm):
    """What may be changed of a node (semantics 3.4)."""

    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    resiliency_period_s = NumberField(
        minimum=-1,
        maximum=3600,
        label="ResiliencyPeriod",
        help_text="Seconds that it runs on, cut off, before its groups move. -1: as the cluster says.",
    )


class NewGroupForm(TopologyForm):
    """What a new, empty group needs; all else has its default."""

    name = forms.CharField(max_length=63)
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))


POLICY = (
    "restart_action",
    "restart_threshold",
    "restart_period_ms",
    "restart_delay_ms",
    "retry_period_ms",
)
TIMES = ("looks_alive_ms", "is_alive_ms", "pending_timeout_ms", "deadlock_timeout_ms", "separate_monitor")


class ResourceForm(TopologyForm):
    """Name, common properties (semantics 3.1) and the private ones of the type."""

    name = forms.CharField(max_length=200)
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(
        self,
        type: ResourceType,
        dll: type[ResourceDLL] | None,
        *args: Any,
        creating: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.type, self.creating = type, creating
        for prop in dll.properties if dll else ():
            self.fields[PRIVATE + prop.name] = PropertyField(prop, creating=creating)
        self.fields.update(_policy_fields())
        self.fields.update(_time_fields(type))
        self.order_fields([name for name in self.fields if name != "reason"] + ["reason"])

    @classmethod
    def of(cls, resource: Resource, dll: type[ResourceDLL] | None, data: Any = None) -> ResourceForm:
        secret = {prop.name for prop in dll.properties if prop.secret} if dll else set()
        initial = {name: getattr(resource, name) for name in ("name", "description", *POLICY, *TIMES)}
        initial |= {PRIVATE + name: v for name, v in resource.properties.items() if name not in secret}
        return cls(resource.type, dll, data, initial=initial)

    def private(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith(PRIVATE)]

    def policy(self) -> list[forms.BoundField]:
        return [self[name] for name in POLICY]

    def times(self) -> list[forms.BoundField]:
        return [self[name] for name in TIMES]

    def has_hidden_errors(self) -> bool:
        """True where an error stands among the properties that are folded away."""
        return any(name in self.errors for name in (*POLICY, *TIMES))


class NewResourceForm(ResourceForm):
    """The same for a resource to be created, and what it depends on within its group."""

    def __init__(
        self,
        type: ResourceType,
        dll: type[ResourceDLL],
        siblings: Sequence[Resource],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(type, dll, *args, creating=True, **kwargs)
        needed = [str(r.pk) for r in siblings if r.type.name in dll.required_dependencies]
        self.fields["requires"] = forms.MultipleChoiceField(
            choices=[(str(r.pk), f"{r.name} ({r.type.name})") for r in siblings],
            required=False,
            initial=needed,
            label="Depends on",
            widget=forms.CheckboxSelectMultiple,
            help_text="All that are ticked must be online before it; alternatives can be set afterwards.",
        )
        self.order_fields([name for name in self.fields if name != "reason"] + ["reason"])

    def values(self) -> dict[str, Any]:
        return {name: value for name, value in super().values().items() if name != "requires"}

    def requires(self) -> list[list[int]]:
        """The dependency expression: an AND of what was ticked."""
        return [[int(id)] for id in self.cleaned_data["requires"]]


def _policy_fields() -> dict[str, forms.Field]:
    return {
        "restart_action": forms.TypedChoiceField(
            choices=RESTART_ACTIONS,
            coerce=int,
            initial=2,
            label="RestartAction",
        ),
        "restart_threshold": NumberField(
            initial=3,
            label="RestartThreshold",
            help_text="Restarts within the period before the action above.",
        ),
        "restart_period_ms": DurationField(initial=900_000, label="RestartPeriod"),
        "restart_delay_ms": DurationField(
            initial=500, label="RestartDelay", help_text="Wait before each restart."
        ),
        "retry_period_ms": SpecialDurationField(
            word="Never",
            initial=3_600_000,
            label="RetryPeriodOnFailure",
            help_text="How long a failed resource rests before it is tried again. At least RestartPeriod.",
        ),
    }


def _time_fields(type: ResourceType) -> dict[str, forms.Field]:
    def field(
        label: str, types_ms: int, minimum: int, also: tuple[int, ...] = (), hint: str = ""
    ) -> forms.Field:
        word = f"The type's: {write_duration(types_ms)}"
        return SpecialDurationField(
            word=word, also=also, minimum=minimum, initial=0xFFFFFFFF, label=label, help_text=hint
        )

    return {
        "looks_alive_ms": field("LooksAlivePollInterval", type.looks_alive_ms, 10, hint="The cheap check."),
        "is_alive_ms": field("IsAlivePollInterval", type.is_alive_ms, 10, (1,), "The thorough check."),
        "pending_timeout_ms": field(
            "PendingTimeout", type.pending_timeout_ms, 10, hint="Silence while it comes or goes."
        ),
        "deadlock_timeout_ms": field(
            "DeadlockTimeout", type.deadlock_timeout_ms, 1000, hint="Longest single call."
        ),
        "separate_monitor": forms.BooleanField(
            required=False,
            label="SeparateMonitor",
            help_text="Its DLL runs in a process of its own (14 MB), from the next Online on.",
        ),
    }


class PreferredOwnersForm(forms.Form):
    """The ordered list under edit: `owner` repeated in order, and a step such as "up:3"."""

    def __init__(self, data: Any, nodes: Iterable[Node]) -> None:
        super().__init__(data)
        self.nodes = {node.pk: node for node in nodes}
        sent = [int(id) for id in data.getlist("owner") if id.isdigit()]
        self.order = [id for id in dict.fromkeys(sent) if id in self.nodes]

    @property
    def ordered(self) -> list[Node]:
        return [self.nodes[id] for id in self.order]

    @property
    def others(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.pk not in self.order]

    @property
    def reason(self) -> str:
        return str(self.data.get("reason", ""))

    def step(self, text: str) -> None:
        """Apply "up:ID", "down:ID", "remove:ID" or "add:ID" to the order; ignore what does not fit."""
        verb, _, number = text.partition(":")
        id = int(number) if number.isdigit() else 0
        if verb == "add" and id in self.nodes and id not in self.order:
            self.order.append(id)
        if id not in self.order:
            return
        place = self.order.index(id)
        if verb == "remove":
            self.order.remove(id)
        elif verb in ("up", "down"):
            other = place + (-1 if verb == "up" else 1)
            if 0 <= other < len(self.order):
                self.order[place], self.order[other] = self.order[other], self.order[place]
