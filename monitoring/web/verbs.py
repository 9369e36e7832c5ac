"""The actions that a page offers: what each is called, what it asks for, and who may run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from monitoring.models.roles import Role


@dataclass(frozen=True, slots=True)
class Verb:
    """`kind` as the cluster service knows it; `label` is what the button says.

    `asks`: fields of the confirmation beside the reason: "node", "failback", "confirm".
    `needs_reason`: it is not taken without one.
    """

    kind: str
    label: str
    icon: str
    tone: str = "primary"
    role: Role = Role.OPERATOR
    asks: tuple[str, ...] = ()
    needs_reason: bool = False


GROUP: Mapping[str, Verb] = {
    "move": Verb("move", "Move", "arrow-right-left", asks=("node",)),
    "offline": Verb("offline", "Take offline", "power", "danger"),
    "online": Verb("online", "Bring online", "play"),
    "restart": Verb("restart", "Restart", "rotate-cw", "danger"),
    "maintenance": Verb("maintenance", "Start maintenance", "wrench"),
    "end-maintenance": Verb("end-maintenance", "End maintenance", "play"),
}
CLUSTER: Mapping[str, Verb] = {name: GROUP[name] for name in ("maintenance", "end-maintenance")}
NODE: Mapping[str, Verb] = {
    "pause": Verb("pause", "Pause", "pause"),
    "drain": Verb("drain", "Drain", "droplets"),
    "resume": Verb("resume", "Resume", "play", asks=("failback",)),
    "clear-quarantine": Verb("clear-quarantine", "Clear quarantine", "play"),
    "fence": Verb("fence", "Fence now", "plug-zap", "danger", asks=("confirm",)),
    "confirm-off": Verb(
        "confirm-off", "I have seen that it is off", "eye", "danger", asks=("confirm",), needs_reason=True
    ),
    "rotate-key": Verb("rotate-key", "Rotate key", "key-round", role=Role.ADMINISTRATOR),
    "evict": Verb("evict", "Evict", "log-out", "danger", Role.ADMINISTRATOR, ("confirm",)),
}
RESOURCE: Mapping[str, Verb] = {
    "online": Verb("resource-online", "Bring online", "play"),
    "offline": Verb("resource-offline", "Take offline", "power", "danger"),
    "restart": Verb("resource-restart", "Restart", "rotate-cw", "danger"),
    "fail": Verb("resource-fail", "Simulate a failure", "zap", "danger"),
}
