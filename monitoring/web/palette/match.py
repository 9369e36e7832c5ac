"""How well what was typed fits a name: all of it, its beginning, its words, parts, letters in order."""

from __future__ import annotations

import re
from difflib import get_close_matches

EXACT, START, WORDS, ANY_ORDER, PARTS, LETTERS = 100.0, 90.0, 80.0, 72.0, 60.0, 40.0
NEAR = 20.0
"""Of a name that is only spelt alike."""
LENGTH = 0.1
MOST_OFF = 7.0
"""A longer name fits less well than a shorter one of the same kind, but no worse than the next kind."""

_SPLIT = re.compile(r"[\s\-_./]+")
_NUMBER = re.compile(r"(\d+)")


def fit(typed: str, name: str) -> float:
    """0 where it does not fit, else the better the higher. Both in lower case, `typed` not empty."""
    if typed == name:
        return EXACT
    kind = _kind(typed, name)
    return kind - min(MOST_OFF, LENGTH * abs(len(name) - len(typed))) if kind else 0.0


def _kind(typed: str, name: str) -> float:
    if name.startswith(typed):
        return START
    words = typed.split()
    if not all(word in name for word in words):
        return _letters(typed, name)
    parts = _SPLIT.split(name)
    if _in_order(words, parts):
        return WORDS
    return ANY_ORDER if all(any(part.startswith(word) for part in parts) for word in words) else PARTS


def _in_order(words: list[str], parts: list[str]) -> bool:
    """Each word begins a part, one after the other."""
    rest = iter(parts)
    return all(any(part.startswith(word) for part in rest) for word in words)


def _letters(typed: str, name: str) -> float:
    """All letters in their order, the fewer between them the better."""
    letters = typed.replace(" ", "")
    if len(letters) < 2:
        return 0.0
    first = at = name.find(letters[0])
    for letter in letters[1:]:
        at = name.find(letter, at + 1) if at >= 0 else -1
    gaps = at - first + 1 - len(letters)
    return max(0.0, LETTERS - 2 * gaps) if at >= 0 and gaps <= 2 * len(letters) else 0.0


def near(typed: str, names: list[str]) -> list[str]:
    """Names that are spelt alike, for where nothing fits."""
    alike = [name for name in names if abs(len(name) - len(typed)) <= 2] if len(typed) > 2 else []
    return get_close_matches(typed, alike, n=3, cutoff=0.7)


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """A key by which EVS2 comes before EVS10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in _NUMBER.split(name) if part)


def pieces(typed: str, title: str) -> tuple[tuple[str, bool], ...]:
    """`title` in parts, and of each whether it is what was typed."""
    hit = [False] * len(title)
    low = title.lower()
    for word in typed.lower().split():
        at = low.find(word)
        if at >= 0 and len(low) == len(title):
            hit[at : at + len(word)] = [True] * len(word)
    found: list[tuple[str, bool]] = []
    for letter, is_hit in zip(title, hit, strict=False):
        if found and found[-1][1] == is_hit:
            found[-1] = (found[-1][0] + letter, is_hit)
        else:
            found.append((letter, is_hit))
    return tuple(found)
