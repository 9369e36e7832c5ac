"""Since when a group has not served, and when it did again: kept beside its failovers as they happen.

Down is whatever is not Online, as in the reports of availability. Two moments tell when it began:
- `down_since`, from which it counts: the group was found not to be Online, or, where its node fell
  silent, the last heartbeat. After that nothing speaks for the group being served.
- `proof_at`, the last proof of service: that heartbeat, or the last IsAlive of what failed that said
  yes. Clients cannot have been without service for longer than from there.
"""

from __future__ import annotations

from monitoring.core.model import GroupView
from monitoring.core.states import GroupState
from monitoring.models import FailoverRecord, Group
from monitoring.service.lock import Held
from monitoring.service.snapshot import GroupRows

_BY_WORD = (GroupState.PARTIAL_ONLINE, GroupState.OFFLINE)
"""States in which a group may be for long before anything moves it: its passage counts by itself."""


def already(held: Held, group: Group) -> dict[str, float | None]:
    """What a record that begins takes over from a group that is not Online any more. No query."""
    state = GroupState(group.last_state)
    if state is GroupState.ONLINE or not group.persistent_online:
        return {}
    if state in _BY_WORD or group.down_since is None:
        return {"down_since": held.now, "proof_at": None}
    return {"down_since": group.down_since, "proof_at": group.proof_at}


def note(held: Held, rows: GroupRows, group: Group, before: GroupView, state: GroupState) -> None:
    """The group comes into `state`; `group.last_state` is the one before. The group is not saved.

    No query where it goes on; one where it leaves Online in a passage, or becomes Online.
    """
    was = GroupState(group.last_state)
    if state is GroupState.ONLINE:
        if group.down_since is not None:
            waiting = FailoverRecord.objects.filter(group=group, down_since__isnull=False, up_at=None)
            waiting.update(up_at=held.now)
        group.down_since = group.proof_at = None
        return
    if was is GroupState.ONLINE:
        group.down_since, group.proof_at = _began(held, rows, group, before)
        record = group.record
        if record is not None and record.down_since is None and group.persistent_online:
            record.down_since, record.proof_at = group.down_since, group.proof_at
            record.save(update_fields=["down_since", "proof_at"])


def _began(held: Held, rows: GroupRows, group: Group, before: GroupView) -> tuple[float, float | None]:
    heard = held.heard.get(before.owner or 0)
    if heard is not None:
        return min(heard, held.now), min(heard, held.now)
    failed = {resource.id for resource in before.resources if resource.failure}
    broken = [row for row in rows.resources[group.pk] if row.pk in failed]
    since = min((row.state_since for row in broken), default=held.now)
    since = min(since, held.now)
    proofs = [row.checked_at for row in broken if row.checked_at is not None and row.checked_at <= since]
    return since, min(proofs, default=None)
