"""A session with a PostgreSQL server, for IsAlive. Loaded when a server is first asked: psycopg is large."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn

from monitoring.resource_dlls.postgresql.directory import parent_of

_QUESTION = """SELECT pg_backend_pid(), pg_is_in_recovery(), current_setting('server_version'),
 (SELECT sum(numbackends)::int FROM pg_stat_database), current_setting('max_connections')::int"""
_WRITE = """BEGIN; SET LOCAL synchronous_commit = local;
 SELECT pg_logical_emit_message(true, 'clusterweb', 'IsAlive'); COMMIT"""
"""A record in the server's log, which is on its disk when this returns. No table is touched, and no
standby waited for."""


Error = psycopg.Error
LOST = (psycopg.OperationalError, psycopg.InterfaceError)


class LoginError(Exception):
    """The server does not let the probe in; the text is the server's."""


@dataclass(frozen=True, slots=True)
class Health:
    postmaster: int
    """Process that answers."""
    is_standby: bool
    version: str
    connections: int
    most_connections: int


async def ask(seconds: float, writes: bool, **where: Any) -> Health:
    """Log in, ask and write. TimeoutError after `seconds`; LoginError; Error: what else failed."""
    deadline = asyncio.get_running_loop().time() + seconds
    async with asyncio.timeout_at(deadline):
        connection = await _connect(where)
    work = asyncio.ensure_future(_ask(connection, writes))
    try:
        await asyncio.wait({work}, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        if not work.done():
            raise TimeoutError
        return work.result()
    finally:
        try:
            if not work.done():
                await _give_up(connection, work)
        finally:
            await connection.close()


async def _connect(where: Mapping[str, Any]) -> psycopg.AsyncConnection[Any]:
    """Log in. One that is interrupted leaves no socket behind, as the library's own would for a while."""
    options = make_conninfo("", **where, application_name="clusterweb", gssencmode="disable")
    session: PGconn = pq.PGconn.connect_start(options.encode())
    try:
        await _log_in(session)
        session.nonblocking = 1
        connection: psycopg.AsyncConnection[Any] = psycopg.AsyncConnection(session)
        await connection.set_autocommit(True)
    except BaseException:
        session.finish()
        raise
    return connection


async def _log_in(session: PGconn) -> None:
    while session.status != pq.ConnStatus.BAD:
        step = session.connect_poll()
        if step == pq.PollingStatus.OK:
            return
        if step == pq.PollingStatus.FAILED:
            break
        await _turn(session.socket, reads=step == pq.PollingStatus.READING)
    said = session.get_error_message()
    raise LoginError(said.partition("FATAL:")[2].strip() or said)


async def _turn(descriptor: int, *, reads: bool) -> None:
    """Wait until the socket can be read, or written."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    (loop.add_reader if reads else loop.add_writer)(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        (loop.remove_reader if reads else loop.remove_writer)(descriptor)


async def _ask(connection: psycopg.AsyncConnection[Any], writes: bool) -> Health:
    row = await (await connection.execute(_QUESTION)).fetchone()
    assert row is not None
    backend, is_standby, version, connections, most = row
    if writes and not is_standby:
        await connection.execute(_WRITE)
    return Health(parent_of(backend), is_standby, version, connections, most)


async def _give_up(connection: psycopg.AsyncConnection[Any], work: asyncio.Future[Health]) -> None:
    """End a question that is not answered. Cancelling it would wait for the server, which may be frozen;
    the end of the socket ends it at once."""
    with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as own:
        own.shutdown(socket.SHUT_RDWR)
    with suppress(Exception):
        await work
