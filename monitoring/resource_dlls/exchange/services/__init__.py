"""The servers of an Exchange Virtual Server, each a process: `MODULE:serve` (base.ExchangeService).

Importing this package loads all of them, Twisted included, and opens nothing, so that the
node's warm parent can load it once and fork the services (api.ResourceDLL.warm_modules).
"""

# The first line comes before all that would make a reactor at import.
from monitoring.resource_dlls.exchange.services import late_reactor  # noqa: I001
from monitoring.resource_dlls.exchange.services import (
    attendant,
    imap,
    mta,
    pop,
    routing,
    search,
    smtp,
    store,
    web,
)

__all__ = ["attendant", "imap", "late_reactor", "mta", "pop", "routing", "search", "smtp", "store", "web"]
