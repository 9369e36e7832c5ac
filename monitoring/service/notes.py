"""Notes that operators write about a failover. Each is its author's; the history keeps who and when."""

from __future__ import annotations

from monitoring.core.model import Refused
from monitoring.models import FailoverNote, FailoverRecord
from monitoring.service import journal
from monitoring.service.lock import Held, again, cluster_lock

NOTED = 9004
MOST = 200
"""The most notes on one failover."""


@again
def add(record: int, text: str, by: str) -> FailoverNote:
    """Write a note. Refused without a text, or where there is no such failover."""
    text = _checked(text)
    with cluster_lock() as held:
        row = FailoverRecord.objects.select_related("group").filter(pk=record).first()
        if row is None:
            raise Refused("record", f"There is no failover {record}.")
        if FailoverNote.objects.filter(record=row).count() >= MOST:
            raise Refused("text", f"There are {MOST} notes on this failover: change one of yours.")
        note = FailoverNote.objects.create(record=row, author=by, text=text, at=held.now)
        _tell(held, row, f"{by} wrote note {note.pk}", by)
    return note


@again
def change(note: int, text: str, by: str) -> FailoverNote:
    """Write one's own note anew. Refused where it is another's, was deleted, or the text is empty."""
    text = _checked(text)
    with cluster_lock() as held:
        row = _own(note, by)
        if row.text != text:
            row.text, row.edited_at = text, held.now
            row.save(update_fields=["text", "edited_at"])
            _tell(held, row.record, f"{by} changed note {row.pk}", by)
    return row


@again
def delete(note: int, by: str) -> FailoverNote:
    """Take one's own note back: its text is gone, that it was there and when it went is kept."""
    with cluster_lock() as held:
        row = _own(note, by)
        row.text, row.deleted_at = "", held.now
        row.save(update_fields=["text", "deleted_at"])
        _tell(held, row.record, f"{by} deleted note {row.pk}", by)
    return row


def find(note: int) -> FailoverNote:
    """Refused where there is none of that number. One query."""
    row = FailoverNote.objects.select_related("record__group").filter(pk=note).first()
    if row is None:
        raise Refused("note", f"There is no note {note}.")
    return row


def why_not(note: FailoverNote, by: str) -> str:
    """Why somebody may not change it, as a sentence; empty where they may."""
    if note.deleted_at is not None:
        return "This note was deleted."
    return "" if note.author == by else f"Only {note.author} may change this note."


def _own(note: int, by: str) -> FailoverNote:
    row = find(note)
    if why := why_not(row, by):
        raise Refused("note", why)
    return row


def _checked(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\x00", "").strip()
    if not text:
        raise Refused("text", "Write something.")
    if len(text) > FailoverNote.LONGEST:
        raise Refused("text", f"A note has {FailoverNote.LONGEST} characters at most; this has {len(text)}.")
    return text


def _tell(held: Held, record: FailoverRecord, what: str, by: str) -> None:
    text = f"{what} on failover {record.pk} of {record.group_name}."
    journal.add(held, text, code=NOTED, group=record.group, record=record, by=by)
