"""Makes the pages live: which function renders the changes of which topic.

Imported once, when the server starts (clusterweb.asgi).
"""

from __future__ import annotations

from monitoring.live.topics import register, register_everywhere, register_view
from monitoring.web import (
    fencing,
    flight,
    groups,
    history,
    nodes,
    operations,
    overview,
    resources,
    schedule,
    what_if,
)

register_view("overview", overview.canonical, overview.render_changes)
register("groups", groups.render_list_changes)
register("group", groups.render_changes)
register("nodes", nodes.render_list_changes)
register("node", nodes.render_changes)
register("fencing", fencing.render_changes)
register("resource", resources.render_changes)
register("plan", what_if.render_changes)
register("schedule", schedule.render_changes)
register("history", history.render_changes)
register("record", flight.render_changes)
register_everywhere(operations.render_changes)
