"""Makes the pages live: which function renders the changes of which topic.

Imported once, when the server starts (clusterweb.asgi).
"""

from __future__ import annotations

from monitoring.live.topics import register, register_everywhere
from monitoring.web import operations, overview

register("overview", overview.render_changes)
register_everywhere(operations.render_changes)
