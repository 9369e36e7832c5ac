"""What the worker of the cluster service does with a message in its hands and no database."""

from __future__ import annotations

import time
from unittest.mock import Mock

import pytest
from celery.worker import state as worker_state
from django.db import OperationalError

from monitoring.service import tasks


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made; none takes any time. No connection of another test is touched."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    monkeypatch.setattr(tasks, "close_old_connections", lambda: None)
    monkeypatch.setattr(tasks, "connection", Mock())
    return made


def test_a_message_is_kept_until_the_database_answers(naps: list[float]) -> None:
    attempts: list[str] = []

    def work(message: str) -> str:
        attempts.append(message)
        if len(attempts) < 4:
            raise OperationalError("connection refused")
        return message

    assert tasks.with_database(work, "heartbeat") == "heartbeat"
    assert attempts == ["heartbeat"] * 4


def test_a_worker_that_is_told_to_stop_does_not_wait_for_the_database(
    naps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(worker_state, "should_stop", 0)
    with pytest.raises(OperationalError):
        tasks.with_database(work)
    assert naps == []


def test_a_mistake_of_ours_is_not_tried_again(naps: list[float]) -> None:
    def work() -> None:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        tasks.with_database(work)
    assert naps == []
