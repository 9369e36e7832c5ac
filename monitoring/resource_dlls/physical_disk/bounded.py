"""Storage that may hang is asked on a thread of its own, one at a time, and waited for only so long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class HangingError(Exception):
    """No answer within the time; `seconds` is how long the question has been open."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer for {seconds:.1f} s")
        self.seconds = seconds


class _Answer(Generic[Result]):
    def __init__(self) -> None:
        self.came = threading.Event()
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.asked_at = time.monotonic()


class Bounded:
    """Asks one question after the other. While one hangs, no other is asked: threads do not pile up."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._asking = threading.Lock()
        self._open: _Answer[object] | None = None

    @property
    def is_hanging(self) -> bool:
        return self._open is not None and not self._open.came.is_set()

    def ask(self, question: Callable[[], Result], seconds: float) -> Result:
        """The answer, or its exception; HangingError where there is none within `seconds`, or the
        question before this one has not been answered by then."""
        deadline = time.monotonic() + seconds
        with self._asking:
            before = self._open
            if before is not None and not before.came.wait(max(0.0, deadline - time.monotonic())):
                raise HangingError(time.monotonic() - before.asked_at)
            answer: _Answer[Result] = _Answer()
            self._open = answer  # type: ignore[assignment]
            threading.Thread(target=_answer, args=(question, answer), name=self._name, daemon=True).start()
            if not answer.came.wait(max(0.0, deadline - time.monotonic())):
                raise HangingError(time.monotonic() - answer.asked_at)
            self._open = None
        if answer.error is not None:
            raise answer.error
        return answer.result  # type: ignore[return-value]


def _answer(question: Callable[[], Result], answer: _Answer[Result]) -> None:
    try:
        answer.result = question()
    except BaseException as error:
        answer.error = error
    answer.came.set()
