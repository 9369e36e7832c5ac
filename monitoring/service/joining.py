"""A machine becomes a node by one command: a token that is good once, and for a quarter of an hour.

Whoever shows it gets the node's key and the way to the broker. Its digest is stored; making it,
using it and revoking it are in the history.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import deque

from monitoring.core.model import Refused
from monitoring.core.states import NodeState
from monitoring.models import JoinToken, Node
from monitoring.service import clock, journal
from monitoring.service.lock import cluster_lock

GOOD_FOR = 900.0
TRIES, WITHIN = 20, 60.0
"""Wrong tokens that one process takes within so many seconds; then all wait."""
_wrong: deque[float] = deque(maxlen=TRIES)


class NotAllowedError(Exception):
    """The token is wrong, used, revoked or too old: the answer is the same for all of them."""


class TooManyError(Exception):
    """Too many wrong tokens of late."""


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def make(node: Node, *, by: str) -> str:
    """A new token for a node that is Down, in place of an earlier one; told once. Refused for others."""
    secret = secrets.token_hex(32)  # begins with no "-": it stands on a command line
    with cluster_lock() as held:
        if Node.objects.get(pk=node.pk).state != NodeState.DOWN:
            raise Refused("node", f"{node} has joined: two machines cannot be one node.")
        JoinToken.objects.update_or_create(
            node=node,
            defaults={
                "digest": _digest(secret),
                "made_by": by,
                "expires_at": held.now + GOOD_FOR,
                "used_at": None,
                "used_from": "",
            },
        )
        text = f"{by} made a join token for {node}, good for {GOOD_FOR / 60:.0f} minutes."
        journal.add(held, text, node=node, by=by)
    return secret


def revoke(node: Node, *, by: str) -> None:
    """The token of a node is void at once."""
    with cluster_lock() as held:
        gone, _ = JoinToken.objects.filter(node=node, used_at=None).delete()
        if gone:
            journal.add(held, f"{by} revoked the join token of {node}.", node=node, by=by)


def redeem(secret: str, address: str) -> Node:
    """The node that the token lets its bearer become; the token is used up."""
    now = clock.monotonic()
    if len(_wrong) == TRIES and now - _wrong[0] < WITHIN:
        raise TooManyError
    with cluster_lock() as held:
        row = JoinToken.objects.select_related("node").filter(digest=_digest(secret), used_at=None).first()
        if row is not None and held.now <= row.expires_at:
            row.used_at, row.used_from = held.now, address[:50]
            row.save(update_fields=["used_at", "used_from"])
            held.nodes.add(row.node_id)
            text = f"The join token of {row.node} was used from {address}: its agent has the key now."
            journal.add(held, text, node=row.node, by=row.made_by)
            return row.node
    _wrong.append(now)
    raise NotAllowedError
