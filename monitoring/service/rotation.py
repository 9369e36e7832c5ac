"""Rotating the key of a node: offered with every answer to a heartbeat, until the node signs with it.

The node's half comes in a heartbeat that the present key signed; from then on the service has
the new key, signs with it, and takes messages signed with either. The first one that the new key
signed shows that the node has it in use: then the old key is void.
"""

from __future__ import annotations

import secrets

from django.db.models import Q

from monitoring.core.keys import KeyExchangeError, agreed, fingerprint, public_of
from monitoring.core.messages import (
    Envelope,
    Heartbeat,
    MessageError,
    Upward,
    open_up,
)
from monitoring.core.model import Refused
from monitoring.models import Node, Operation
from monitoring.models.members import new_key
from monitoring.service import decide, journal
from monitoring.service.lock import Held, cluster_lock

KIND = "rotate-key"
_FIELDS = ["key", "key_since", "next_key", "next_shown", "rotation_secret"]


def check(node: Node, *, is_member: bool) -> None:
    """Refused where a rotation is under way: the node may be using its key already."""
    if node.rotation_secret and is_member:
        raise Refused("node", f"A new key of {node.name} is on its way already.")


def begin(held: Held, node: Node, operation: Operation, *, is_member: bool) -> None:
    """Offer the node a new key; one that is down gets one by hand, at once."""
    if is_member:
        node.rotation_secret, node.next_key, node.next_shown = secrets.token_hex(32), "", False
        node.save(update_fields=["rotation_secret", "next_key", "next_shown"])
        return
    for older in Operation.objects.filter(kind=KIND, node=node, state="running").exclude(pk=operation.pk):
        decide.end_operation(held, older, "superseded", f"Superseded by a key that {node.name} gets by hand.")
    _take(held, node, new_key())
    _told(held, node, operation)
    text = (
        f"{node.name} is down and gets its new key by hand: print it with `manage.py cluster node-key"
        f" {node.name}`, put it where its agent looks for it (the file that CLUSTERWEB_NODE_KEY_FILE"
        " names, or CLUSTERWEB_NODE_KEY), then start the agent."
    )
    decide.end_operation(held, operation, "done", text)


def offer_to(node: Node) -> str:
    """The public value for an answer to a heartbeat; empty where no new key is on its way."""
    return public_of(node.rotation_secret) if node.rotation_secret else ""


def opened(envelope: Envelope, node: Node) -> Upward:
    """Open what a node sent, signed with its key or the one to come; else MessageError."""
    try:
        message = open_up(envelope, node.key)
    except MessageError:
        if not node.next_key:
            raise
        message = open_up(envelope, node.next_key)
        _in_use(node)
        return message
    if isinstance(message, Heartbeat) and node.rotation_secret:
        _agree(node, message)
    return message


def _agree(node: Node, beat: Heartbeat) -> None:
    """Note the node's half of the new key, or that it has lost it. A heartbeat that came late says nothing.

    A key that was agreed upon stays one to accept: the node may have taken it into use.
    """
    offer, answer = offer_to(node), beat.rekey
    changes: dict[str, object] = {"next_shown": bool(answer)}
    if answer:
        try:
            changes["next_key"] = agreed(
                node.rotation_secret, answer, node=node.name, offer=offer, answer=answer, present=node.key
            )
        except KeyExchangeError:
            return
    if any(getattr(node, name) != value for name, value in changes.items()):
        older = Q(incarnation__lt=beat.incarnation)
        older |= Q(incarnation=beat.incarnation, heartbeat__lt=beat.number)
        same = Node.objects.filter(older, pk=node.pk, key=node.key, rotation_secret=node.rotation_secret)
        same.update(**changes)
        node.refresh_from_db(fields=_FIELDS)


def _in_use(node: Node) -> None:
    """The node signs with the new key: the old one is void, and that is a line of the history."""
    with cluster_lock() as held:
        fresh = Node.objects.get(pk=node.pk)
        if fresh.next_key and fresh.next_key == node.next_key:
            _take(held, fresh, fresh.next_key)
            operation = Operation.objects.filter(kind=KIND, node=fresh, state="running").first()
            _told(held, fresh, operation)
            if operation is not None:
                decide.end_operation(held, operation, "done", f"{fresh.name} uses its new key.")
    node.refresh_from_db(fields=_FIELDS)


def _take(held: Held, node: Node, key: str) -> None:
    node.key, node.key_since = key, held.now
    node.next_key, node.next_shown, node.rotation_secret = "", False, ""
    node.save(update_fields=_FIELDS)


def _told(held: Held, node: Node, operation: Operation | None) -> None:
    by = operation.requested_by if operation else ""
    asked = f", asked for by {by}" if by else ""
    why = f": {operation.reason}" if operation and operation.reason else ""
    text = f"{node.name} has a new key, {fingerprint(node.key)}{asked}{why}"
    journal.add(held, text, node=node, operation=operation, by=by)
