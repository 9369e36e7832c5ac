"""Tables line up, and durations read as an operator says them."""

from __future__ import annotations

import re

import pytest
from django.core.management.color import color_style, no_style

from monitoring.management.tables import cut, duration, table


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (-0.1, "0.0 s"),
        (0.42, "0.4 s"),
        (12.9, "12 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (7260, "2 h 1 min"),
        (7205, "2 h"),
        (442_800, "5 d 3 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    lines = table(["GROUP", "STATE"], [["EVS1", "Online"], ["a long name", ""]], no_style()).splitlines()
    assert lines == ["GROUP        STATE", "EVS1         Online", "a long name"]


def test_a_long_text_is_cut_to_what_the_terminal_has_room_for() -> None:
    assert cut("a cause that fits", 40) == "a cause that fits"
    assert cut("x" * 50, 40) == "x" * 39 + "…"
    assert cut("x" * 50, -3) == "x" * 19 + "…"


def test_colour_does_not_move_columns() -> None:
    plain = table(["GROUP", "STATE", "FOR"], [["EVS1", "Failed", "2 h"]], no_style())
    coloured = table(["GROUP", "STATE", "FOR"], [["EVS1", "Failed", "2 h"]], color_style(force_color=True))
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
