"""Rotating a node's key: whatever is lost, doubled or late, both sides end with the same new key."""

from __future__ import annotations

import json
import random
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monitoring.core.keys import agreed, fingerprint, public_of
from monitoring.core.messages import Heartbeat, HeartbeatAck, MessageError, seal
from monitoring.core.model import Refused
from monitoring.core.states import NodeState
from monitoring.models import Cluster, Event, Node, Operation
from monitoring.node.keys import Keys
from monitoring.service import inbox, intents, refusals

NODE, OLD, LIFE = "NODE1", "0" * 64, 5


@pytest.fixture(autouse=True)
def node(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "GATHER", 0.0)
    Cluster.objects.create(pk=1)
    Node.objects.create(name=NODE, key=OLD, state=NodeState.UP, incarnation=LIFE)


class Wire:
    """The node's keys and the service's rows, and all that was ever said between them."""

    def __init__(self, home: Path, configured: str = OLD) -> None:
        self.home, self.configured = home, configured
        self.number, self.life = 0, LIFE
        self.said: list[dict[str, Any]] = []
        self.restart()

    def restart(self) -> None:
        """The agent is killed and starts again."""
        self.keys = Keys(self.home, NODE, self.configured)

    def beat(self) -> dict[str, Any]:
        self.number += 1
        beat = Heartbeat(self.life, self.number, 0, rekey=self.keys.answer)
        self.said.append(seal(NODE, beat, self.keys.present))
        return self.said[-1]

    def up(self, raw: dict[str, Any]) -> dict[str, Any] | None:
        """The service takes a message in; its answer, None where it gives none."""
        try:
            answer = inbox.receive(raw)
        except MessageError:
            return None
        if answer is None:
            return None
        self.said.append(seal(NODE, answer, Node.objects.get().signing_key))
        return self.said[-1]

    def down(self, raw: dict[str, Any]) -> bool:
        """The node takes a message in; False where it refuses it."""
        try:
            message = self.keys.open(raw)
        except MessageError:
            return False
        if isinstance(message, HeartbeatAck):
            self.keys.offered(message.rekey)
        return True

    def round(self) -> bool:
        """A heartbeat and its answer, with nothing lost. True where both were taken."""
        answer = self.up(self.beat())
        return answer is not None and self.down(answer)

    def settle(self) -> None:
        for _ in range(6):
            self.round()
        row = Node.objects.get()
        assert self.round(), "the node and the service understand each other"
        assert (row.next_key, row.rotation_secret) == ("", "")
        assert row.key == self.keys.present


@pytest.fixture
def wire(tmp_path: Path) -> Wire:
    return Wire(tmp_path / "node")


def rotate() -> Operation:
    return intents.submit(
        "rotate-key", by="alice", reason="a disk was stolen", node=Node.objects.get().pk
    ).operation


def test_a_rotation_ends_with_a_new_key_a_line_in_the_history_and_a_void_old_key(wire: Wire) -> None:
    operation = rotate()
    assert operation.state == "running"
    wire.settle()
    operation.refresh_from_db()
    row = Node.objects.get()
    assert (operation.state, row.key == OLD, row.key_since > 0) == ("done", False, True)
    told = f"NODE1 has a new key, {fingerprint(row.key)}, asked for by alice: a disk was stolen"
    assert Event.objects.filter(text=told, requested_by="alice").count() == 1
    with pytest.raises(MessageError):
        inbox.receive(seal(NODE, Heartbeat(LIFE, 99, 0), OLD))
    assert not wire.down(seal(NODE, HeartbeatAck(LIFE, 99, 500, 3000, 500), OLD))


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_lost_doubled_or_late_and_whoever_dies_both_end_with_the_same_key(
    wire: Wire, seed: int
) -> None:
    rng = random.Random(seed)
    rotate()
    upward: list[dict[str, Any]] = []
    downward: list[dict[str, Any]] = []

    def deliver(box: list[dict[str, Any]], take: Callable[[dict[str, Any]], Any]) -> Any:
        if not box:
            return None
        at = rng.randrange(len(box))
        return take(box[at] if rng.random() < 0.3 else box.pop(at))

    for _ in range(60):
        step = rng.random()
        if step < 0.35:
            upward.append(wire.beat())
        elif step < 0.65:
            if answer := deliver(upward, wire.up):
                downward.append(answer)
        elif step < 0.9:
            deliver(downward, wire.down)
        elif step < 0.95:
            wire.restart()
        else:
            rng.choice((upward, downward)).clear()
    wire.settle()
    assert Node.objects.get().key != OLD
    assert Operation.objects.get(kind="rotate-key").state == "done"
    for raw in wire.said:  # once more, from the beginning
        wire.up(raw)
        wire.down(raw)
    assert wire.round()


def test_a_node_that_loses_its_half_on_the_way_makes_another(wire: Wire) -> None:
    rotate()
    wire.round()  # the offer
    wire.up(wire.beat())  # the node's half; the answer is lost
    assert Node.objects.get().next_shown
    for name in ("key-to-come", "key-in-use"):
        (wire.home / name).unlink(missing_ok=True)
    wire.restart()
    wire.life += 1
    wire.settle()
    assert Node.objects.get().key != OLD


def test_the_key_outlives_the_agent_for_nobody_else_to_read(wire: Wire) -> None:
    rotate()
    wire.settle()
    wire.restart()
    assert wire.round()
    for path in wire.home.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_key_that_is_configured_by_hand_counts_before_one_that_was_agreed_upon(wire: Wire) -> None:
    rotate()
    wire.settle()
    by_hand = Wire(wire.home, "f" * 64)
    assert by_hand.keys.present == "f" * 64
    assert Wire(wire.home, OLD).keys.present == wire.keys.present


def test_a_second_rotation_follows_the_first_and_none_overtakes_one_under_way(wire: Wire) -> None:
    rotate()
    wire.round()
    with pytest.raises(Refused, match="on its way"):
        rotate()
    wire.settle()
    first = wire.keys.present
    rotate()
    wire.settle()
    assert wire.keys.present not in (first, OLD)


def test_a_node_that_is_down_gets_its_key_by_hand_at_once(wire: Wire) -> None:
    Node.objects.update(state=NodeState.DOWN)
    operation = rotate()
    key = Node.objects.get().key
    assert operation.state == "done"
    assert "cluster node-key NODE1" in operation.outcome
    assert key != OLD
    assert not wire.round()
    assert Wire(wire.home, key).keys.present == key
    texts = [operation.outcome, *Event.objects.values_list("text", flat=True)]
    assert not any(key in text for text in texts)


def test_who_listens_and_knows_the_old_key_learns_neither_half_nor_the_new_key(wire: Wire) -> None:
    rotate()
    secret = Node.objects.get().rotation_secret
    wire.settle()
    new = wire.keys.present
    heard = json.dumps(wire.said)
    for hidden in (OLD, secret, new):
        assert hidden not in heard
    # what the listener has: both public values and the old key. It makes no key of these without a secret
    bodies = [json.loads(raw["body"]) for raw in wire.said]
    offer = next(b["rekey"] for b in bodies if b["type"] == "heartbeat-ack" and b["rekey"])
    answer = next(b["rekey"] for b in bodies if b["type"] == "heartbeat" and b["rekey"])
    right = agreed(secret, answer, node=NODE, offer=offer, answer=answer, present=OLD)
    assert right == new
    for guess in (offer, answer, OLD.replace("0", "1")):
        assert agreed(guess, answer, node=NODE, offer=offer, answer=answer, present=OLD) != new


def test_an_offer_of_a_stranger_is_not_taken_and_one_that_cannot_be_is_passed_over(wire: Wire) -> None:
    mine = public_of("1" * 64)
    assert not wire.down(seal(NODE, HeartbeatAck(LIFE, 1, 500, 3000, 500, rekey=mine), "a stranger's"))
    assert wire.keys.answer == ""
    assert wire.down(seal(NODE, HeartbeatAck(LIFE, 1, 500, 3000, 500, rekey="0" * 64), OLD))
    assert wire.keys.answer == ""
    rotate()
    wire.up(seal(NODE, Heartbeat(LIFE, 50, 0, rekey="0" * 64), OLD))
    assert Node.objects.get().next_key == ""
