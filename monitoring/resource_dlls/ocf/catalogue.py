"""Which OCF agents there are, and what each says of itself, remembered on disk.

Asking every agent for its metadata takes seconds, so it is done once for each version of a
program (its path, size and time of change). The machine of the dashboard may lack the package:
a catalogue that `python -m monitoring.resource_dlls.ocf` wrote on a node then stands in.

CLUSTERWEB_OCF_ROOT       where agents are installed (default /usr/lib/ocf; empty: none are used)
CLUSTERWEB_OCF_CATALOGUE  a catalogue of another machine, for agents that are not installed here
CLUSTERWEB_OCF_CACHE      folder for what agents said (default: the home of the process)
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from monitoring.resource_dlls.ocf.metadata import Metadata, MetadataError, read_metadata
from monitoring.resource_dlls.ocf.script import Findings, read_script

logger = logging.getLogger(__name__)

DEFAULT_ROOT = "/usr/lib/ocf"
FORMAT = 1
"""Of the file on disk; another one is not read."""
ASK_LIMIT = 15.0
ASK_AGAIN_AFTER = 3600.0
"""Seconds until an agent that could not tell is asked again."""
INSTANCE = "clusterweb-instance"
SCRATCH = "/run/clusterweb-scratch"
"""Names by which a default is recognised that the agent makes up for each resource."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


class Agent(msgspec.Struct, frozen=True):
    """An agent as it was last asked. `problem`: why it cannot be used; empty where it can."""

    provider: str
    name: str
    path: str
    version: tuple[int, int]
    """Time of change in ns and size of the program."""
    asked_at: float
    metadata: Metadata | None = None
    findings: Findings = Findings((), True)
    problem: str = ""

    @property
    def type_name(self) -> str:
        return f"ocf:{self.provider}:{self.name}"


class Catalogue(msgspec.Struct, frozen=True):
    format: int
    agents: tuple[Agent, ...]


def root() -> Path | None:
    """The OCF root, None where OCF agents are not wanted."""
    text = os.environ.get("CLUSTERWEB_OCF_ROOT", DEFAULT_ROOT).strip()
    return Path(text) if text else None


def agents() -> list[Agent]:
    """Every agent that is installed here, and those that only the catalogue knows, by type name."""
    found = {agent.type_name: agent for agent in _foreign()}
    found |= {agent.type_name: agent for agent in installed()}
    return [found[name] for name in sorted(found)]


def installed() -> list[Agent]:
    """The agents under the OCF root. Those that are new or have changed are asked."""
    programs = dict(_programs())
    if not programs:
        return []
    with _locked_cache() as cache:
        known = {agent.path: agent for agent in _read(cache)} if cache else {}
        missing = [path for path, version in programs.items() if not _is_fresh(known.get(path), version)]
        if missing:
            with ThreadPoolExecutor(4) as pool:
                known |= {a.path: a for a in pool.map(lambda path: _ask(path, programs[path]), missing)}
        current = [known[path] for path in programs]
        if cache and (missing or len(current) != len(known)):
            _write(cache, current)
    return current


def _programs() -> Iterator[tuple[str, tuple[int, int]]]:
    """Path and version of each agent under the OCF root."""
    base = root()
    if base is None or not (base / "resource.d").is_dir():
        return
    for provider in sorted((base / "resource.d").iterdir()):
        if not _NAME.fullmatch(provider.name) or not provider.is_dir():
            continue
        for program in sorted(provider.iterdir()):
            with suppress(OSError):
                stat = program.stat()
                if _NAME.fullmatch(program.name) and program.is_file() and os.access(program, os.X_OK):
                    yield str(program), (stat.st_mtime_ns, stat.st_size)


def _is_fresh(agent: Agent | None, version: tuple[int, int]) -> bool:
    if agent is None or agent.version != version:
        return False
    return not agent.problem or 0 <= time.time() - agent.asked_at < ASK_AGAIN_AFTER


def _ask(path: str, version: tuple[int, int]) -> Agent:
    """Run an agent's `meta-data` and look through its text."""
    program = Path(path)
    base = program.parent.parent.parent
    agent = Agent(program.parent.name, program.name, path, version, asked_at=time.time())
    try:
        metadata = read_metadata(_meta_data(agent, base))
        findings = read_script(program, base / "lib" / agent.provider, metadata.offers("promote"))
    except (MetadataError, OSError) as error:
        return msgspec.structs.replace(agent, problem=str(error))
    return msgspec.structs.replace(agent, metadata=metadata, findings=findings)


def _meta_data(agent: Agent, base: Path) -> str:
    """What `AGENT meta-data` prints. The agent sees nothing of this process's environment."""
    environment = {
        "PATH": PATH,
        "LANG": "C",
        "OCF_ROOT": str(base),
        "OCF_RA_VERSION_MAJOR": "1",
        "OCF_RA_VERSION_MINOR": "1",
        "OCF_RESOURCE_INSTANCE": INSTANCE,
        "OCF_RESOURCE_TYPE": agent.name,
        "OCF_RESOURCE_PROVIDER": agent.provider,
        "HA_RSCTMP": SCRATCH,
    }
    try:
        process = subprocess.Popen(
            [agent.path, "meta-data"],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise MetadataError(f"it cannot be started: {error.strerror}") from None
    try:
        output, _ = process.communicate(timeout=ASK_LIMIT)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise MetadataError(f"it did not tell its metadata within {ASK_LIMIT:g} s") from None
    if process.returncode != 0:
        raise MetadataError(f"meta-data ended with exit code {process.returncode}")
    return output.decode("utf-8", "replace")


# On disk


def _cache_folder() -> Path:
    environ = os.environ
    for name in ("CLUSTERWEB_OCF_CACHE", "CLUSTERWEB_HOME", "CLUSTERWEB_NODE_HOME"):
        if folder := environ.get(name, "").strip():
            return Path(folder)
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clusterweb"


@contextmanager
def _locked_cache() -> Iterator[Path | None]:
    """The file, held by this process alone: several start at once, and one of them asks.

    None where there can be no such file; then every process asks for itself.
    """
    try:
        folder = _cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "ocf-agents.lock").open("w")
    except (OSError, RuntimeError) as error:
        logger.warning("what OCF agents say of themselves cannot be kept: %s", error)
        yield None
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder / "ocf-agents.json"


def _read(path: Path) -> tuple[Agent, ...]:
    """The agents in a file; none where it is not there, or is of another format."""
    try:
        catalogue = msgspec.json.decode(path.read_bytes(), type=Catalogue)
    except (OSError, msgspec.DecodeError):
        return ()
    return catalogue.agents if catalogue.format == FORMAT else ()


def _write(path: Path, agents: list[Agent]) -> None:
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(dump(agents))
        Path(file.name).replace(path)
    except OSError as error:
        logger.warning("what OCF agents say of themselves cannot be kept: %s", error)


def dump(agents: list[Agent]) -> bytes:
    return msgspec.json.encode(Catalogue(FORMAT, tuple(agents)))


def _foreign() -> tuple[Agent, ...]:
    """The agents of another machine's catalogue, where one is set."""
    path = os.environ.get("CLUSTERWEB_OCF_CATALOGUE", "").strip()
    if not path or root() is None:
        return ()
    try:
        catalogue = msgspec.json.decode(Path(path).read_bytes(), type=Catalogue)
    except (OSError, msgspec.DecodeError) as error:
        logger.error("CLUSTERWEB_OCF_CATALOGUE: %s cannot be read: %s", path, error)
        return ()
    if catalogue.format != FORMAT:
        logger.error("CLUSTERWEB_OCF_CATALOGUE: %s was made by another version: make it anew", path)
        return ()
    return catalogue.agents
