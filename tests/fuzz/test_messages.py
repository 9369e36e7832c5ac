"""Every type of message: made, sealed, opened; and nothing but a message is opened."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitoring.core.messages import (
    Downward,
    MessageError,
    Upward,
    open_down,
    open_up,
    read_envelope,
    seal,
)
from tests.fuzz import strategies as fuzz

NODE, KEY = "NODE1", "k" * 64


@pytest.mark.parametrize("kind", [*fuzz.types_of(Upward), *fuzz.types_of(Downward)])
def test_what_is_sealed_is_what_is_opened(kind: type[msgspec.Struct]) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(fuzz.message(kind))
    def check(message: Any) -> None:
        raw = seal(NODE, message, KEY)
        down = kind in fuzz.types_of(Downward)
        opened = open_down(raw, NODE, KEY) if down else open_up(read_envelope(raw), KEY)
        assert _without_nul(opened) == _without_nul(message)

    check()


def _without_nul(message: Any) -> str:
    """As text; the character 0 of what a node says is replaced on its way."""
    return repr(msgspec.to_builtins(message)).replace(r"\x00", "\ufffd")


def test_a_type_without_a_strategy_is_noticed() -> None:
    class New(msgspec.Struct):
        at: bytes

    with pytest.raises(fuzz.NoStrategyError):
        fuzz.message(New)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@example({"\ud800": None})
@given(
    st.one_of(
        fuzz.ANYTHING,
        fuzz.damaged(NODE, KEY, fuzz.downward()),
        fuzz.damaged(NODE, KEY, fuzz.upward()),
        fuzz.signed_nonsense(NODE, KEY, True, fuzz.downward()),
        fuzz.signed_nonsense(NODE, KEY, False, fuzz.upward()),
    )
)
def test_what_is_no_message_is_refused_in_either_direction_and_in_no_other_way(raw: object) -> None:
    for opened in (lambda: open_down(raw, NODE, KEY), lambda: open_up(read_envelope(raw), KEY)):
        try:
            message = opened()
        except MessageError:
            continue
        # What was done to it left it a message: of its type, and within all bounds
        known = Downward if isinstance(message, Downward) else Upward
        assert msgspec.convert(msgspec.to_builtins(message), known) == message
