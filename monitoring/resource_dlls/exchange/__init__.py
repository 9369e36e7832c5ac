"""The Exchange family: the resources of an Exchange Virtual Server (semantics 6).

`dll` and `protocols` are what the node's agent loads; `services` are the servers behind
them, which run in processes of their own and are never imported by the agent.
"""

from monitoring.resource_dlls.exchange.dll import (
    InformationStore,
    MessageTransferAgent,
    RoutingService,
    Search,
    SystemAttendant,
)
from monitoring.resource_dlls.exchange.protocols import HTTP, IMAP4, POP3, SMTP

__all__ = [
    "HTTP",
    "IMAP4",
    "POP3",
    "SMTP",
    "InformationStore",
    "MessageTransferAgent",
    "RoutingService",
    "Search",
    "SystemAttendant",
]
