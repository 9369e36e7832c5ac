"""How long clients of a group were without it around a failover, and how that is known. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from monitoring.core.chain import Passage, length


@dataclass(frozen=True, slots=True)
class Unserved:
    """From when to when the group did not serve. `until` is None while it does not.

    `proof`: when it was last known to serve; clients were without it for `at_most` seconds.
    `why` are the sentences that tell how this was found.
    """

    since: float
    until: float | None
    proof: float | None
    seconds: float
    at_most: float
    why: tuple[str, ...]

    @property
    def certain(self) -> bool:
        """True where the two do not differ to an eye."""
        return self.at_most - self.seconds < 0.05


def unserved(
    passage: Passage, since: float | None, until: float | None, proof: float | None, now: float
) -> Unserved | None:
    """None where nothing says that the group was down, such as where nobody wanted it online."""
    if since is None:
        return None
    end = now if until is None else until
    seconds = max(0.0, end - since)
    first = since if proof is None else min(proof, since)
    at_most = max(0.0, end - first)
    why = (_began(passage, since, proof), _ended(passage, until), *_difference(passage, seconds))
    return Unserved(since, until, proof, seconds, at_most, why)


def _began(passage: Passage, since: float, proof: float | None) -> str:
    if proof is not None and proof >= since:
        return f"It counts from the last heartbeat of {passage.source}: nothing after it speaks for service."
    if proof is not None:
        return (
            f"It counts from the moment in which the failure was found. The last IsAlive that said yes "
            f"was {length(since - proof)} before: clients were without it for no longer than from there."
        )
    if since < passage.started:
        return f"{passage.group} was not Online any more {length(passage.started - since)} before it went."
    return f"It counts from the moment in which {passage.group} was not Online any more."


def _ended(passage: Passage, until: float | None) -> str:
    if until is None:
        return f"{passage.group} has not been Online since then."
    if passage.finished is not None and until > passage.finished + 0.05:
        return f"{passage.group} was Online again {length(until - passage.finished)} after this had ended."
    return f"It ends where {passage.group} was Online again."


def _difference(passage: Passage, seconds: float) -> tuple[str, ...]:
    """Why it is not the time that the failover took."""
    if passage.finished is None:
        return ()
    took = passage.finished - passage.started
    more = seconds - took
    if abs(more) < 0.05:
        return ("That is as long as the failover itself took.",)
    word = "longer" if more > 0 else "shorter"
    return (f"That is {length(abs(more))} {word} than the failover itself, which took {length(took)}.",)
