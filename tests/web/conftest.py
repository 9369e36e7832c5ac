"""A seeded cluster and a browser of each role, for the tests of the pages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from monitoring.service import clock
from tests.web import seed

Browser = Callable[[str], Client]


@pytest.fixture
def seeded(db: None) -> seed.Seeded:
    """The cluster of tests.web.seed, as it stands now."""
    return seed.cluster(clock.now())


@pytest.fixture
def browser(seeded: seed.Seeded) -> Browser:
    """A client that is signed in as the user of that role."""

    def signed_in(role: str) -> Client:
        client = Client()
        client.force_login(seeded.users[role])
        client.get("/login/")  # the first request writes down when the session began
        return client

    return signed_in
