"""The cluster of the topology tests, and the command line as an operator calls it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.management import call_command

from tests.topology.conftest import cluster, evs1, evs2, nodes

__all__ = ["cluster", "evs1", "evs2", "nodes"]


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Answer]


@pytest.fixture
def run(cluster: object) -> Run:
    """Run `manage.py cluster` with these words, without a process of its own."""

    def call(*words: str) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        code = 0
        try:
            call_command("cluster", *words, stdout=out, stderr=err, no_color=True)
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Answer(code, out.getvalue(), err.getvalue())

    return call
