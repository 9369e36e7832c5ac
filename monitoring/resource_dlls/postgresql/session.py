"""A session with a PostgreSQL server, for IsAlive. Loaded when a server is first asked: psycopg is large."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg

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
        try:
            connection = await psycopg.AsyncConnection.connect(
                **where, autocommit=True, application_name="clusterweb", gssencmode="disable"
            )
        except psycopg.OperationalError as error:
            raise LoginError(str(error).partition("FATAL:")[2].strip() or str(error)) from error
    work = asyncio.ensure_future(_ask(connection, writes))
    try:
        await asyncio.wait({work}, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        if not work.done():
            raise TimeoutError
        return work.result()
    finally:
        if not work.done():
            await _give_up(connection, work)
        await connection.close()


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
