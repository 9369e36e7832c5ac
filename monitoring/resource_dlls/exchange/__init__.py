"""The Exchange family: the resources of an Exchange Virtual Server (semantics 6).

`dll` and `protocols` are what the node's agent loads; `services` are the servers behind
them, which run in processes of their own and are never imported by the agent. `daemons` has
the same tree by Postfix, Dovecot and nginx.
"""

from monitoring.resource_dlls.exchange.daemons.dovecot import DovecotIMAP4, DovecotPOP3, DovecotStore
from monitoring.resource_dlls.exchange.daemons.nginx import NginxHTTP
from monitoring.resource_dlls.exchange.daemons.postfix import PostfixSMTP
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
    "DovecotIMAP4",
    "DovecotPOP3",
    "DovecotStore",
    "InformationStore",
    "MessageTransferAgent",
    "NginxHTTP",
    "PostfixSMTP",
    "RoutingService",
    "Search",
    "SystemAttendant",
]
