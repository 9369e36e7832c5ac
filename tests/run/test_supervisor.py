"""The supervisor's parts, with real processes and a real broker."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clusterweb.run import leftovers
from clusterweb.run.broker import HOST, Broker
from clusterweb.run.child import AT_ONCE, FIRST_DELAY, Child
from clusterweb.run.config import BASE_DIR, Config, StartError
from clusterweb.run.home import Home
from tests.cluster.installation import free_port

PATIENCE = 10.0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.acquire()
    return home


def make_child(home: Home, code: str, said: list[str] | None = None, delay: float = FIRST_DELAY) -> Child:
    env = {**os.environ, leftovers.MARK: str(home.path)}
    tell = (said if said is not None else []).append
    return Child("child", [sys.executable, "-c", code], env, home, tell, delay)


async def until(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Runs; a zombie that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_home_serves_one_supervisor_at_a_time(home: Home):
    with pytest.raises(StartError, match=rf"already \(process {os.getpid()}\)"):
        Home(home.path).acquire()


def test_the_lock_of_a_dead_process_stands_in_nobodys_way(tmp_path: Path):
    code = f"""
from pathlib import Path
from clusterweb.run.home import Home
Home(Path({str(tmp_path)!r})).acquire()
"""
    subprocess.run([sys.executable, "-c", code], cwd=BASE_DIR, check=True)
    assert (tmp_path / "lock").read_text().strip().isdecimal()
    Home(tmp_path).acquire()


def test_a_home_is_private(home: Home):
    home.secret("word")
    assert home.path.stat().st_mode & 0o077 == 0
    assert (home.path / "word").stat().st_mode & 0o077 == 0


def test_a_secret_is_kept(home: Home):
    assert home.secret("word") == home.secret("word") != home.secret("other")


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_wrong_port_is_named(port: str):
    with pytest.raises(StartError, match="CLUSTERWEB_PORT"):
        Config.from_environment({"CLUSTERWEB_PORT": port})


def test_a_port_in_use_is_one_clear_line(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        env = {**os.environ, "CLUSTERWEB_HOME": str(tmp_path / "home"), "CLUSTERWEB_PORT": str(port)}
        started = subprocess.run(
            [sys.executable, "-m", "clusterweb.run"], cwd=BASE_DIR, env=env, capture_output=True, text=True
        )
    assert started.returncode == 2
    assert started.stderr.count("\n") == 1
    assert f"port {port} of 127.0.0.1 cannot be used" in started.stderr


def test_a_home_that_cannot_be_made_is_one_clear_line(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="CLUSTERWEB_HOME: cannot use"):
        Home(tmp_path / "file" / "home").acquire()


def test_the_broker_takes_commands_from_those_who_know_its_password(home: Home):
    async def scenario() -> None:
        broker = Broker(home)
        child = Child("broker", broker.argv, os.environ, home, print)
        await child.start()
        deadline = time.monotonic() + PATIENCE
        while not await broker.answers():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        reader, writer = await asyncio.open_connection(HOST, broker.port)
        writer.write(b"PING\r\n")
        assert (await reader.readline()).startswith(b"-NOAUTH")
        writer.close()
        await child.stop(PATIENCE)
        assert not await broker.answers()
        assert Broker(home).url == broker.url, "a restart finds it at the same place"

    asyncio.run(scenario())


def test_a_broker_that_does_not_answer_is_named(tmp_path: Path):
    env = {
        **os.environ,
        "CLUSTERWEB_HOME": str(tmp_path / "home"),
        "CLUSTERWEB_PORT": str(free_port()),
        "CLUSTERWEB_REDIS_URL": f"redis://:word@127.0.0.1:{free_port()}/0",
    }
    started = subprocess.run(
        [sys.executable, "-m", "clusterweb.run"], cwd=BASE_DIR, env=env, capture_output=True, text=True
    )
    assert started.returncode == 2
    assert started.stderr.startswith("clusterweb: CLUSTERWEB_REDIS_URL: nothing answers on port ")


def test_a_child_that_dies_is_started_again_and_said_so(home: Home):
    async def scenario() -> None:
        said: list[str] = []
        child = make_child(home, "import time; time.sleep(60)", said)
        await child.start()
        first = child.pid
        child.send(signal.SIGKILL)
        await until(lambda: child.pid not in (None, first))
        assert said[0].startswith("killed by SIGKILL; starts again in 1 s")
        await child.stop(PATIENCE)
        assert child.pid is None
        assert not (home.pids / "child.pid").exists()

    asyncio.run(scenario())


def test_an_agent_is_started_again_at_once_and_one_that_keeps_dying_less_and_less_often(home: Home):
    async def scenario() -> None:
        said: list[str] = []
        child = make_child(home, "pass", said, AT_ONCE)
        await child.start()
        await until(lambda: len(said) >= 3)
        await child.stop(PATIENCE)
        assert [words.split("; starts again in ")[1].split()[0] for words in said[:3]] == [
            "0.1",
            "0.2",
            "0.4",
        ]

    asyncio.run(scenario())


def test_a_child_that_does_not_heed_sigterm_is_killed(home: Home):
    async def scenario() -> None:
        child = make_child(
            home,
            "import signal, time\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "print('deaf', flush=True)\n"
            "time.sleep(60)",
        )
        await child.start()
        await until(lambda: child.last_words() == "deaf")
        await child.stop(0.2)
        assert child.pid is None

    asyncio.run(scenario())


def test_what_outlived_a_supervisor_is_found_and_ended(home: Home):
    orphan = """
import subprocess
null = subprocess.DEVNULL
print(subprocess.Popen(["sleep", "60"], start_new_session=True, stdout=null, stderr=null).pid)
"""
    env = {**os.environ, leftovers.MARK: str(home.path)}
    pid = int(subprocess.run([sys.executable, "-c", orphan], env=env, capture_output=True, check=True).stdout)
    assert pid in leftovers.find(home.path)
    assert asyncio.run(leftovers.end(home.path, grace=1)) == ["sleep 60"]
    assert not alive(pid)
    assert leftovers.find(home.path) == {}


def test_children_end_with_a_supervisor_that_is_killed(tmp_path: Path):
    code = f"""
import asyncio, os
from pathlib import Path
from clusterweb.run.child import Child
from clusterweb.run.home import Home
async def main():
    home = Home(Path({str(tmp_path)!r}))
    home.acquire()
    child = Child("child", ["sleep", "60"], os.environ, home, print)
    await child.start()
    print(child.pid, flush=True)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=BASE_DIR, capture_output=True, text=True)
    pid = int(done.stdout)
    asyncio.run(until(lambda: not alive(pid)))


def test_a_long_log_begins_anew_and_the_older_part_is_kept(home: Home, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("clusterweb.run.child.LOG_LIMIT", 10)
    child = make_child(home, "")
    child.log.write_text("a long, long story")
    child.cap_log()
    assert child.log.read_text() == ""
    assert (home.logs / "child.log.1").read_text() == "a long, long story"
