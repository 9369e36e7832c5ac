"""The messages between the cluster service and the nodes, and the envelope they travel in.

Messages are frozen and validated on arrival: one that does not fit its type raises
`MessageError` and changes nothing. Each is at-least-once and may come in any order, so
every message can be applied twice and every one says how new it is: an assignment by
(epoch, serial), a report by (incarnation, number), a resource's state by its sequence.

An envelope is signed with the sending node's key (HMAC-SHA256); the same key signs what
the cluster service sends to that node. A stranger with access to the broker can neither
command a node nor speak for one.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from monitoring.core.keys import Public
from monitoring.core.states import ResourceState

_T = TypeVar("_T")

HIGHEST = 2**62
"""No number in a message is greater: all fit the columns of the database, and one more does too."""
AGES = 50 * 366 * 86_400_000
"""No duration is longer, in milliseconds: what it is taken from stays a date."""
BODY = 8 * 2**20
"""Characters of a message at most; a full report of 10,000 resources is about 3 million."""
ITEMS = 20_000
"""Groups of a message, or resources of one of them, at most."""

Id = Annotated[int, msgspec.Meta(ge=1, le=HIGHEST)]
Count = Annotated[int, msgspec.Meta(ge=0, le=HIGHEST)]
Epoch = Annotated[int, msgspec.Meta(ge=1, le=HIGHEST + 1)]
Code = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=AGES)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
NodeName = Annotated[str, msgspec.Meta(max_length=63, pattern=r"\A[^\x00-\x1f\x7f\ud800-\udfff]+\Z")]
Text = Annotated[str, msgspec.Meta(max_length=4000)]
OUTPUT = 16_384
"""Characters of a resource's output that travel at most."""
EntryPoint = Literal["LooksAlive", "IsAlive"]


def said(text: str, limit: int = 4000) -> str:
    """A text of whatever origin as it can travel: not too long, and without half characters."""
    return text[:limit].encode(errors="replace").decode()


def event_code(number: int) -> int:
    """An event id of whatever origin as it can travel."""
    return number if 0 <= number < 2**31 else 0


class MessageError(ValueError):
    """A message that is malformed, not signed by whom it names, or not for its receiver."""


class ResourceSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One resource as its node must run it.

    `requires` is the dependency expression in conjunctive form: an AND of OR sets of
    resource ids, e.g. ((1,), (2, 3)) reads "1 and (2 or 3)". `attempt` only grows: a
    Failed resource is tried again when an assignment carries a higher attempt than the one
    that failed. `separate_monitor` travels only where it is true: an agent that does not know
    it yet takes all others.
    """

    id: Id
    name: Name
    type: Name
    properties: dict[str, Any]
    requires: Annotated[tuple[tuple[Id, ...], ...], msgspec.Meta(max_length=ITEMS)]
    want_online: bool
    attempt: Count
    looks_alive_ms: Annotated[int, msgspec.Meta(ge=10, le=AGES)]
    is_alive_ms: Annotated[int, msgspec.Meta(ge=10, le=AGES)]
    pending_timeout_ms: Annotated[int, msgspec.Meta(ge=10, le=AGES)]
    deadlock_timeout_ms: Annotated[int, msgspec.Meta(ge=1000, le=AGES)]
    separate_monitor: bool = False


class Assignment(msgspec.Struct, frozen=True, tag="assignment", forbid_unknown_fields=True):
    """What a node shall make true for one group: the whole of it, not a step.

    `incarnation` is the life of the node that it is meant for: any other refuses it, so that
    a late message cannot wake a group that has moved on. The node refuses an epoch below the
    highest it has seen for the group, and ignores a serial that it has applied or passed
    within an epoch. The first assignment that a node gets in a new epoch is the grant of
    ownership. `operation` is the id of the operator's operation that led to it, for the log.

    Failed with `want_online` false becomes Offline once nothing of it runs; Failed with
    `want_online` true stays Failed until `attempt` grows. `watch_only`: the group is in
    maintenance; its resources are polled and reported, and left as they are.
    """

    incarnation: Id
    group: Id
    group_name: Name
    epoch: Epoch
    serial: Id
    resources: Annotated[tuple[ResourceSpec, ...], msgspec.Meta(max_length=ITEMS)]
    operation: Id | None = None
    watch_only: bool = False


class Release(msgspec.Struct, frozen=True, tag="release", forbid_unknown_fields=True):
    """The group belongs to another node from `epoch` on: take down what still runs, forget it."""

    incarnation: Id
    group: Id
    epoch: Epoch


class FailResource(msgspec.Struct, frozen=True, tag="fail", forbid_unknown_fields=True):
    """Simulate a failure of a resource, so that its whole policy runs (semantics 8.1)."""

    incarnation: Id
    group: Id
    resource: Id
    epoch: Epoch
    operation: Id
    reason: Text


class TellOutput(msgspec.Struct, frozen=True, tag="tell-output", forbid_unknown_fields=True):
    """Tell the newest lines that a resource's processes printed: now, and for `follow_ms` whenever
    there are more. Whatever state it is in; a node that does not hold it says nothing."""

    incarnation: Id
    group: Id
    resource: Id
    follow_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] = 0


class HeartbeatAck(msgspec.Struct, frozen=True, tag="heartbeat-ack", forbid_unknown_fields=True):
    """Renews the lease from the moment the node *sent* heartbeat `number`, by its own clock.

    `resend` asks for a full report: the cluster service missed one. The durations are the
    cluster's present settings. `rekey`: the service's half of a new key (core.keys).
    """

    incarnation: Id
    number: Count
    interval_ms: Annotated[int, msgspec.Meta(ge=50, le=60_000)]
    lease_ms: Annotated[int, msgspec.Meta(ge=100, le=7_200_000)]
    margin_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)]
    resend: bool = False
    rekey: Public = ""


class LifeOver(msgspec.Struct, frozen=True, tag="life-over", forbid_unknown_fields=True):
    """The cluster service has given this life of the node up, and renews its lease no more.

    A life whose lease ran out knows that by itself. One that never had a lease, since the
    answers to its first heartbeats were lost, would wait for it for ever.
    """

    incarnation: Id


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat", forbid_unknown_fields=True):
    """Life sign of a node. `incarnation` grows with each life of the node.

    A life ends with its agent, and with its lease: a node whose lease ran out ends all its
    resources, then begins a new life under the next incarnation. A new incarnation promises
    that nothing of the earlier ones runs on the node any more. The cluster service never
    renews the lease of one that it has declared lost.
    `reports` is the number of the last report sent, so that a lost one is noticed.
    `leaving`: the last heartbeat of an agent that stops in order. All is offline, and the
    node runs nothing from here on: its groups may start elsewhere without waiting for the
    end of its lease.
    `refused`: how many messages this agent has refused so far, for they were not authentic.
    `watchdog_ms`: timeout of the watchdog that its guard holds, 0 for none.
    `rekey`: the node's half of a new key.
    """

    incarnation: Id
    number: Count
    reports: Count
    leaving: bool = False
    refused: Count = 0
    watchdog_ms: Annotated[int, msgspec.Meta(ge=0, le=86_400_000)] = 0
    rekey: Public = ""


class Fact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a resource says about itself while it is up: `level` 1 is a warning, `share` a part of a whole."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    text: Annotated[str, msgspec.Meta(max_length=400)]
    level: Annotated[int, msgspec.Meta(ge=0, le=1)] = 0
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


FACTS = 40
"""Facts of one resource at most."""


class ResourceReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """State of one resource as the node knows it.

    `running`: something of it may still run, whatever its state says (a Failed resource
    whose Terminate has not returned). `elapsed_ms`: how long the state before this one
    lasted, by the node's monotonic clock; `age_ms`: how long ago this one began, for several
    changes may travel together. `cause` is a sentence where the state is Failed
    or the change was not asked for; `code` the event id that fits it (semantics 7) or 0.
    `checked_ms_ago`: time since the last IsAlive that said true, None before the first.
    `simulated`: the operation whose simulated failure was carried out last, 0 for none.
    `facts`: all that it shows about itself; None where the node does not know them yet.
    """

    resource: Id
    state: ResourceState
    sequence: Count
    attempt: Count
    running: bool
    elapsed_ms: Milliseconds = 0
    age_ms: Milliseconds = 0
    cause: Text = ""
    code: Code = 0
    progress: Text = ""
    checked_ms_ago: Milliseconds | None = None
    simulated: Count = 0
    facts: Annotated[tuple[Fact, ...], msgspec.Meta(max_length=FACTS)] | None = None


class GroupReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The resources of one group that changed, under the epoch and serial last applied.

    `refused` is a sentence where the node would not take an assignment (stale epoch, unknown
    resource type); then `epoch` and `serial` are the node's own newest.
    """

    group: Id
    epoch: Annotated[int, msgspec.Meta(ge=0, le=HIGHEST + 1)]
    serial: Count
    resources: Annotated[tuple[ResourceReport, ...], msgspec.Meta(max_length=ITEMS)]
    refused: Text = ""


class ProbeSample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Times of the probes of one resource since the last sample.

    Milliseconds of the slowest and the mean call, the number of calls and of those that
    said no, and the last IsAlive result. Then of a longer stretch, the last `window` calls
    (0: not told): milliseconds of the last one, of the median, of what 99 in 100 did not exceed,
    and of the slowest.
    """

    resource: Id
    entry_point: EntryPoint
    calls: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    failures: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    mean_ms: Annotated[float, msgspec.Meta(ge=0, le=AGES)]
    max_ms: Annotated[float, msgspec.Meta(ge=0, le=AGES)]
    last_result: bool
    last_text: Text = ""
    window: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    last_ms: Annotated[float, msgspec.Meta(ge=0, le=AGES)] = 0.0
    p50_ms: Annotated[float, msgspec.Meta(ge=0, le=AGES)] = 0.0
    p99_ms: Annotated[float, msgspec.Meta(ge=0, le=AGES)] = 0.0
    slowest_ms: Annotated[float, msgspec.Meta(ge=0, le=AGES)] = 0.0


class Report(msgspec.Struct, frozen=True, tag="report", forbid_unknown_fields=True):
    """Changes on a node, in one batch. `full`: `groups` is all that the node holds.

    A full report names the resource types that the node has, and what it could not load.
    """

    incarnation: Id
    number: Count
    groups: Annotated[tuple[GroupReport, ...], msgspec.Meta(max_length=ITEMS)] = ()
    samples: Annotated[tuple[ProbeSample, ...], msgspec.Meta(max_length=ITEMS)] = ()
    full: bool = False
    types: Annotated[tuple[Name, ...], msgspec.Meta(max_length=ITEMS)] = ()
    broken: Annotated[tuple[Text, ...], msgspec.Meta(max_length=100)] = ()


class LogEntry(msgspec.Struct, frozen=True, tag="log", forbid_unknown_fields=True):
    """A line that a node or a resource DLL adds to the event history.

    `level`: 0 information to 3 severe (semantics 1.8). `number` tells the line from all others
    of its node, so that one that comes twice is written once; 0 for a line without one.
    `output`: what processes of the resource printed, for those who may see that.
    """

    incarnation: Id
    level: Annotated[int, msgspec.Meta(ge=0, le=3)]
    text: Text
    code: Code = 0
    resource: Id | None = None
    number: Count = 0
    output: Text = ""


class Output(msgspec.Struct, frozen=True, tag="output", forbid_unknown_fields=True):
    """The newest lines that a resource's processes printed on the node, as they were asked for.

    `written_ms_ago`: since the last of them was written, None where there is none. `cut`: there are
    older lines on the node.
    """

    incarnation: Id
    resource: Id
    text: Annotated[str, msgspec.Meta(max_length=OUTPUT)]
    written_ms_ago: Milliseconds | None = None
    cut: bool = False


Downward = Assignment | Release | FailResource | TellOutput | HeartbeatAck | LifeOver
Upward = Heartbeat | Report | LogEntry | Output


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed message: `node` is the node that speaks or is spoken to, `down` says which."""

    node: NodeName
    down: bool
    body: Annotated[str, msgspec.Meta(max_length=BODY)]
    mac: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


_encoder = msgspec.json.Encoder()
_down = msgspec.json.Decoder(Downward)
_up = msgspec.json.Decoder(Upward)


def _mac(key: str, node: str, down: bool, body: str) -> str:
    head = f"{'down' if down else 'up'}:{node}:"
    told = (head + body).encode(errors="surrogatepass")  # what nobody signed has to be compared too
    return hmac.new(key.encode(), told, hashlib.sha256).hexdigest()


def seal(node: str, message: Downward | Upward, key: str) -> dict[str, Any]:
    """Return `message` as a JSON-ready envelope, signed with the node's `key`."""
    down = isinstance(message, Downward)
    body = _encoder.encode(message).decode()
    return {"node": node, "down": down, "body": body, "mac": _mac(key, node, down, body)}


def read_envelope(raw: object) -> Envelope:
    """Check the outer form of a received envelope; its signature is checked by `open_*`."""
    try:
        return msgspec.convert(raw, Envelope)
    except (ValueError, RecursionError) as error:  # of its types, or of half characters in a name
        raise MessageError(f"envelope: {error}") from None


def open_down(raw: object, node: str, key: str) -> Downward:
    """Open an envelope addressed to `node`; raise MessageError where it is not authentic."""
    envelope = read_envelope(raw)
    if not envelope.down or envelope.node != node:
        raise MessageError(f"envelope: addressed to {envelope.node}, not to {node}")
    _verify(envelope, key)
    message: Downward = _decode(_down, envelope.body)
    return message


def open_up(envelope: Envelope, key: str) -> Upward:
    """Open an envelope that a node sent; raise MessageError where it is not authentic."""
    if envelope.down:
        raise MessageError("envelope: a message to a node was sent to the cluster service")
    _verify(envelope, key)
    # A database may not take the character 0, which a service may well have printed
    message: Upward = _decode(_up, envelope.body.replace("\\u0000", "\\ufffd"))
    return message


def _verify(envelope: Envelope, key: str) -> None:
    expected = _mac(key, envelope.node, envelope.down, envelope.body)
    if not hmac.compare_digest(expected, envelope.mac):
        raise MessageError(f"mac: the signature is not that of {envelope.node}")


def _decode(decoder: msgspec.json.Decoder[_T], body: str) -> _T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MessageError(f"body: {error}") from None
