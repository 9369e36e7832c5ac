"""What processes print: the end of their log, for who asks and for the history of a failure."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from monitoring.core.messages import OUTPUT, LogEntry, Output, TellOutput
from monitoring.core.states import ResourceState as S
from monitoring.node.output import LAST_CHARACTERS, LAST_LINES, last_words, plain, size, tail
from tests.node.harness import AgentProcess, FakeService, spec


def test_the_end_of_a_log_is_whole_lines_within_the_limit(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    log.write_text("".join(f"line {number}\n" for number in range(10_000)))
    found = tail(log)
    assert found.cut
    assert len(found.text) <= OUTPUT
    assert found.text.endswith("line 9999\n")
    assert all(line.startswith("line ") for line in found.text.splitlines())


def test_a_log_that_was_just_set_aside_is_completed_from_there(tmp_path: Path) -> None:
    (tmp_path / "output.log.1").write_text("one\ntwo\n")
    (tmp_path / "output.log").write_text("three\n")
    found = tail(tmp_path / "output.log")
    assert (found.text, found.cut) == ("one\ntwo\nthree\n", False)


def test_a_resource_that_printed_nothing_has_no_output(tmp_path: Path) -> None:
    assert tail(tmp_path / "output.log").written_ms_ago is None
    (tmp_path / "output.log").write_text(" \n\n")
    assert tail(tmp_path / "output.log").text == ""


def test_what_only_a_terminal_understands_is_left_out(tmp_path: Path) -> None:
    assert (
        plain("\x1b[1;31mred\x1b[0m \x1b]0;title\x07ok\r\n50 %\r100 %\x00\x07\n") == "red ok\n50 %\n100 %\n"
    )
    (tmp_path / "output.log").write_bytes(b"half \xff\xc3\n")
    assert tail(tmp_path / "output.log").text == "half \ufffd\ufffd\n"


def test_last_words_are_those_of_the_last_attempt(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    log.write_text("of an earlier life\n" * 9)
    begin = size(log)
    assert last_words(log, begin) == ""
    with log.open("a") as file:
        file.writelines(f"{number} {'x' * 200}\n" for number in range(100))
    lines = last_words(log, begin).splitlines()
    assert len(lines) <= LAST_LINES
    assert sum(map(len, lines)) <= LAST_CHARACTERS
    assert lines[-1].startswith("99 ")
    log.write_text("the log was set aside\n")
    assert last_words(log, begin) == "the log was set aside"


def application(command: str, **changes: Any) -> dict[str, Any]:
    return {"properties": {"CommandLine": f"sh -c '{command}'", "CurrentDirectory": "/"}, **changes}


def outputs(service: FakeService) -> list[Output]:
    return [message for _, message in service.heard if isinstance(message, Output)]


def test_output_is_told_when_it_is_asked_for_and_then_as_it_grows(
    agent: AgentProcess, service: FakeService, tmp_path: Path
) -> None:
    more = tmp_path / "more"
    command = f"echo ready; while [ ! -e {more} ]; do sleep 0.05; done; echo more; exec sleep 600"
    service.assign(spec(1, "Generic Application", **application(command)))
    service.wait_state(1, S.ONLINE)
    assert outputs(service) == [], "nothing travels before somebody asks"
    service.send(TellOutput(service.incarnation, 1, 1, 30_000))
    told = service.wait(lambda: [one for one in outputs(service) if one.text == "ready\n"])
    assert told[0].resource == 1
    assert told[0].written_ms_ago is not None
    more.touch()
    service.wait(lambda: [one for one in outputs(service) if one.text == "ready\nmore\n"])
    seen = len(outputs(service))
    time.sleep(1.2)
    assert len(outputs(service)) == seen, "what does not grow is not told again"
    service.send(TellOutput(service.incarnation, 2, 1, 0))  # of another group
    service.send(TellOutput(service.incarnation, 1, 9, 0))  # of a resource that is not here
    service.send(TellOutput(service.incarnation, 1, 1, 0))
    service.wait(lambda: len(outputs(service)) > seen)
    assert len(outputs(service)) == seen + 1


def test_the_last_lines_go_into_the_history_with_a_failure(agent: AgentProcess, service: FakeService) -> None:
    def said() -> list[LogEntry]:
        return [entry for entry in service.logs() if entry.output]

    command = "echo an earlier life >&2; exec sleep 600"
    service.assign(spec(1, "Generic Application", **application(command)))
    service.wait_state(1, S.ONLINE)
    service.assign(spec(1, "Generic Application", **application(command), want_online=False), serial=2)
    service.wait_state(1, S.OFFLINE)
    assert said() == [], "nothing has failed"
    command = "echo starting; echo no more room on the disk >&2; exit 3"
    service.assign(spec(1, "Generic Application", **application(command)), serial=3)
    service.wait_state(1, S.FAILED)
    (entry,) = service.wait(said)
    assert entry.output == "starting\nno more room on the disk"
    assert (entry.resource, entry.text) == (1, "What R1 printed before it failed")
