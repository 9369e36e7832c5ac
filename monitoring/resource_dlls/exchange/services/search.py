"""Microsoft Search's place: an index over the words of all mail, kept up with the store.

The index (SQLite FTS5) lies on the group's disk beside the mail and moves with it; where it
is lost it is made anew from the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.internet.defer import inlineCallbacks
from twisted.logger import Logger

from monitoring.resource_dlls.exchange.services import calls
from monitoring.resource_dlls.exchange.services.late_reactor import reactor
from monitoring.resource_dlls.exchange.services.mailstore import connect
from monitoring.resource_dlls.exchange.services.pauses import pause
from monitoring.resource_dlls.exchange.services.place import Place, run
from monitoring.resource_dlls.exchange.services.web import header, parse, text_of
from monitoring.resource_dlls.physical_disk import fence

LONG_POLL_S = 60.0
RETRY_S = 2.0
LONGEST_TEXT = 200_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS progress (done INTEGER NOT NULL);
CREATE VIRTUAL TABLE IF NOT EXISTS word USING fts5 (mailbox UNINDEXED, uid UNINDEXED, sender, subject, body);
"""
logger = Logger()


def serve(place: Mapping[str, Any], port: int, ready: str) -> None:
    def start(here: Place) -> None:
        index = Index(here)
        calls.listen(here, port, index.check, index)
        reactor.callWhenRunning(index.follow)

    run(place, ready, start)


class Index:
    """The index, kept up with the store."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._store = calls.Service(place, "store")
        folder = Path(place.disk) / "search"
        folder.mkdir(exist_ok=True)
        with fence.writing(place.disk, place.epoch):
            self._db = connect(folder / "index.sqlite")
            self._db.executescript(SCHEMA)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with fence.writing(self._place.disk, self._place.epoch), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    def check(self) -> None:
        fence.check(self._place.disk, self._place.epoch)
        self._done()

    def _done(self) -> int:
        """Number of the last arrival that is in the index."""
        row = self._db.execute("SELECT max(done) FROM progress").fetchone()
        return row[0] or 0

    @calls.callable_by_others
    def search(self, mailbox: str, query: str, limit: int) -> list[int]:
        """Uids of the newest messages of a mailbox that have all the words."""
        words = " ".join(f'"{word}"' for word in query.replace('"', " ").split())
        if not words:
            return []
        rows = self._db.execute(
            "SELECT uid FROM word WHERE word MATCH ? AND mailbox = ? ORDER BY uid DESC LIMIT ?",
            (words, mailbox, limit),
        )
        return [uid for (uid,) in rows]

    @inlineCallbacks
    def follow(self) -> Any:
        """Keep up with the store for as long as the process lives."""
        while True:
            try:
                arrivals = yield self._store.call(
                    "await_arrival", self._done(), LONG_POLL_S, limit=LONG_POLL_S + calls.ANSWER_LIMIT_S
                )
                for number, mailbox, uid in arrivals:
                    data = yield self._store.call("data", mailbox, uid)
                    self._add(number, mailbox, uid, data.data if data else None)
            except fence.FencedError as error:
                self._place.journal("fenced", reason=str(error))
                reactor.stop()
                return
            except calls.ServiceUnavailableError:
                yield pause(RETRY_S)
            except Exception:
                logger.failure("a mail could not be indexed")
                yield pause(RETRY_S)

    def _add(self, number: int, mailbox: str, uid: int, data: bytes | None) -> None:
        """Index one arrival, None where the message is gone already; both in one transaction."""
        with self._writing():
            if data is not None:
                message = parse(data)
                columns = (
                    header(message, "From"),
                    header(message, "Subject"),
                    text_of(message)[:LONGEST_TEXT],
                )
                self._db.execute("INSERT INTO word VALUES (?, ?, ?, ?, ?)", (mailbox, uid, *columns))
            self._db.execute("DELETE FROM progress")
            self._db.execute("INSERT INTO progress VALUES (?)", (number,))
