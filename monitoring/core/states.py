"""The state names and values of the domain (semantics, section 2).

The integers are the Cluster API's own, so that exports and scripts of operators who know
them keep their meaning.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class ResourceState(IntEnum):
    """State of one resource (semantics 2.1)."""

    UNKNOWN = -1
    INITIALIZING = 1
    ONLINE = 2
    OFFLINE = 3
    FAILED = 4
    ONLINE_PENDING = 129
    OFFLINE_PENDING = 130

    @property
    def label(self) -> str:
        return _LABELS[self.name]

    @property
    def is_pending(self) -> bool:
        return self in (ResourceState.ONLINE_PENDING, ResourceState.OFFLINE_PENDING)

    @property
    def is_down(self) -> bool:
        """True where nothing is running by intention: Offline, Failed or never started."""
        return self in (ResourceState.OFFLINE, ResourceState.FAILED, ResourceState.INITIALIZING)


class GroupState(IntEnum):
    """State of a group, computed from its resources and never stored (semantics 2.2)."""

    UNKNOWN = -1
    ONLINE = 0
    OFFLINE = 1
    FAILED = 2
    PARTIAL_ONLINE = 3
    PENDING = 4

    @property
    def label(self) -> str:
        return _LABELS[self.name]


class NodeState(IntEnum):
    """State of a node (semantics 2.3)."""

    UNKNOWN = -1
    UP = 0
    DOWN = 1
    PAUSED = 2
    JOINING = 3

    @property
    def label(self) -> str:
        return _LABELS[self.name]


class RestartAction(IntEnum):
    """What follows a resource's failure (semantics 3.1 and 4.2)."""

    DONT_RESTART = 0
    RESTART_NO_NOTIFY = 1
    RESTART_NOTIFY = 2


class TransitKind(StrEnum):
    """Why a group is being stopped and started again as a whole."""

    MOVE = "move"
    FAILOVER = "failover"
    FAILBACK = "failback"
    DRAIN = "drain"
    RESTART = "restart"


class Stage(StrEnum):
    """Where a transit stands: first everything goes offline, then everything comes online."""

    STOPPING = "stopping"
    STARTING = "starting"


class Severity(IntEnum):
    """Weight of an event, the levels of the cluster log (semantics 1.8)."""

    INFORMATION = 0
    WARNING = 1
    ERROR = 2
    SEVERE = 3

    @property
    def label(self) -> str:
        return self.name.title()


_LABELS = {
    "UNKNOWN": "Unknown",
    "INITIALIZING": "Initializing",
    "ONLINE": "Online",
    "OFFLINE": "Offline",
    "FAILED": "Failed",
    "ONLINE_PENDING": "Online Pending",
    "OFFLINE_PENDING": "Offline Pending",
    "PARTIAL_ONLINE": "Partial Online",
    "PENDING": "Pending",
    "UP": "Up",
    "DOWN": "Down",
    "PAUSED": "Paused",
    "JOINING": "Joining",
}
