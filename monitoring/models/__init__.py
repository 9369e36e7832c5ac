"""The database: topology, operations and history. Nothing here decides anything."""

from monitoring.models.access import Attempts, Token
from monitoring.models.accounts import Preference, Visit
from monitoring.models.audit import AuditEntry
from monitoring.models.fencing import Fence, FenceDevice, FenceStep
from monitoring.models.history import Event, FailoverNote, FailoverRecord, Phase, ProbeTime
from monitoring.models.members import Cluster, JoinToken, Node
from monitoring.models.operations import Operation
from monitoring.models.output import ResourceOutput
from monitoring.models.schedules import Schedule, ScheduleRun
from monitoring.models.topology import (
    Dependency,
    Group,
    NodeTypes,
    PossibleOwner,
    PreferredOwner,
    Resource,
    ResourceType,
)
from monitoring.models.watching import OutageMark, WatchTime

__all__ = [
    "Attempts",
    "AuditEntry",
    "Cluster",
    "Dependency",
    "Event",
    "FailoverNote",
    "FailoverRecord",
    "Fence",
    "FenceDevice",
    "FenceStep",
    "Group",
    "JoinToken",
    "Node",
    "NodeTypes",
    "Operation",
    "OutageMark",
    "Phase",
    "PossibleOwner",
    "Preference",
    "PreferredOwner",
    "ProbeTime",
    "Resource",
    "ResourceOutput",
    "ResourceType",
    "Schedule",
    "ScheduleRun",
    "Token",
    "Visit",
    "WatchTime",
]
