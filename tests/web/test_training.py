"""Training breaks real processes on the demo, and is nowhere else."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from monitoring.models import Event, FailoverRecord, Operation
from monitoring.node import marks
from monitoring.service import clock, training
from tests.web import seed
from tests.web.conftest import Browser


def test_where_nothing_is_a_demo_there_is_no_such_page(seeded: seed.Seeded, browser: Browser) -> None:
    client = browser("administrator")
    assert client.get(reverse("training")).status_code == 404
    assert client.post(reverse("training"), {"what": "heal"}).status_code == 404
    assert reverse("training") not in client.get("/").content.decode()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _within(seconds: float, what: Any) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return False


def test_a_resource_is_frozen_goes_on_by_itself_and_is_killed_and_the_history_says_who_did_it(
    seeded: seed.Seeded, browser: Browser, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRAINING, settings.HOME = True, tmp_path
    monkeypatch.setattr(training, "FREEZE_SECONDS", 1)
    home = tmp_path / "nodes" / "NODE1"
    home.mkdir(parents=True)
    resource = seeded.resources["EVS1 SMTP"]
    env = {**os.environ, **marks.environment(str(home), resource.pk)}
    process = subprocess.Popen(["sleep", "60"], env=env, start_new_session=True)
    try:
        client, address = browser("administrator"), reverse("training")
        assert f'value="kill:{resource.pk}"' in client.get(address).content.decode()
        client.post(address, {"what": f"hang:{resource.pk}"})
        assert _within(0.9, lambda: _state(process.pid) == "T")
        assert _within(5, lambda: _state(process.pid) == "S")
        client.post(address, {"what": f"kill:{resource.pk}"})
        assert process.wait(timeout=5) == -9
    finally:
        process.kill()
        process.wait()
    texts = list(Event.objects.filter(resource=resource).order_by("-seq").values_list("text", flat=True)[:2])
    assert texts == [
        "Training: administrator killed the processes of EVS1 SMTP.",
        "Training: administrator froze the processes of EVS1 SMTP for 1 s.",
    ]
    again = client.post(address, {"what": f"kill:{resource.pk}"}, follow=True)
    assert "Nothing of this resource runs" in again.content.decode()


def test_the_tour_reads_from_the_history_what_is_done(
    seeded: seed.Seeded, browser: Browser, settings: Any, tmp_path: Path
) -> None:
    settings.TRAINING, settings.HOME = True, tmp_path
    client, address = browser("administrator"), reverse("training")
    assert "To do:" not in client.get(address).content.decode()
    client.post(address, {"tour": "begin"})
    assert client.get(address).content.decode().count("To do:") == 5
    now = clock.now()
    for kind in ("move", "drain", "offline", "online"):
        Operation.objects.create(
            kind=kind, subject="x", requested_by="administrator", state="done", requested_at=now
        )
    source = FailoverRecord.objects.filter(kind="failover").latest("pk").source
    client.post(address, {"tour": "answer", "answer": "nowhere"})
    assert client.get(address).content.decode().count("Done:") == 2  # not yet resumed
    client.post(address, {"tour": "answer", "answer": source})
    assert client.get(address).content.decode().count("Done:") == 3
    client.post(address, {"tour": "leave"})
    assert "Done:" not in client.get(address).content.decode()
