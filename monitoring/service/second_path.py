"""The second path of a node: messages in and out in one exchange, where the broker is away.

What comes in is treated as if it had come by the broker. What goes out are the answers, and
every assignment that the node has not acknowledged: all that it needs to go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import F

from monitoring.core.messages import MessageError, read_envelope, seal
from monitoring.models import Group, Node
from monitoring.service import inbox, refusals, snapshot
from monitoring.service.lock import again, cluster_lock


def exchange(raws: Sequence[object]) -> list[dict[str, Any]]:
    """Take the messages of one node in; return what it has to know, sealed.

    MessageError where none of them was authentic: then nothing is told.
    """
    refused: list[MessageError] = []
    answers: list[dict[str, Any]] = []
    speaker: Node | None = None
    for raw in raws:
        try:
            if speaker is not None:
                _check_speaker(raw, speaker)
            answer = again(inbox.receive)(raw)
        except MessageError as error:
            refused.append(error)
            continue
        if speaker is None:
            speaker = Node.objects.get(name=read_envelope(raw).node)
        if answer is not None:
            answers.append(seal(speaker.name, answer, speaker.signing_key))
    if speaker is None:
        raise refused[0] if refused else MessageError("messages: there is none")
    return answers + _unacknowledged(speaker)


def _check_speaker(raw: object, speaker: Node) -> None:
    """One exchange is with one node: the answers are sealed for it."""
    name = read_envelope(raw).node
    if name != speaker.name:
        refusals.count(speaker.pk, f"a message of {name} in an exchange with {speaker.name}")
        raise MessageError(f"messages: one of {name} among those of {speaker.name}")


def _unacknowledged(node: Node) -> list[dict[str, Any]]:
    """The assignments that the node has not applied yet. One query at rest.

    Looked for once more under the lock: another process may give a group away meanwhile, and its
    new assignment is for nobody but the new owner.
    """
    waiting = Group.objects.filter(owner=node, serial__gt=F("applied_serial"))
    if not waiting.exists():
        return []
    with cluster_lock():
        rows = snapshot.GroupRows(waiting.values_list("pk", flat=True))
        life = rows.nodes[node.pk].incarnation
        assignments = [rows.assignment(rows.view(group), life, None) for group in rows.groups if group.wanted]
    return [seal(node.name, assignment, node.signing_key) for assignment in assignments]
