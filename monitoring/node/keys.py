"""The node's key, and the new one that it agrees upon with the cluster service.

The service offers a public value in its answers to heartbeats, until the new key is in use. The
node answers in its heartbeats, still signed with the present key, and from then on takes messages
signed with either. The first one that is signed with the new key shows that the service has it:
from then on the node signs with it, and the old one is void. Each step is on disk before it is
told, so a crash at any point goes on where it was.

A key that was agreed upon belongs to the configured key that it grew from: where another one is
configured, by hand, that one counts.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
from pathlib import Path

import msgspec

from monitoring.core.keys import KeyExchangeError, agreed, fingerprint, public_of
from monitoring.core.messages import Downward, MessageError, open_down

logger = logging.getLogger(__name__)


class Kept(msgspec.Struct, frozen=True):
    """What the node keeps of a rotation: `grown_from` is the fingerprint of the configured key.

    `offer` and `answer` are the public values that led to `key`, `present` the fingerprint of the
    key that it takes the place of.
    """

    grown_from: str
    present: str
    offer: str
    answer: str
    key: str


class Keys:
    """May be called from any thread."""

    def __init__(self, home: Path, node: str, configured: str) -> None:
        self._home, self._node = home, node
        self._configured = fingerprint(configured)
        self._lock = threading.Lock()
        kept = self._read("key-in-use")
        self._done = kept.offer if kept else ""
        """The offer that led to the present key."""
        self._present = kept.key if kept else configured
        coming = self._read("key-to-come")
        self._next = coming if coming and coming.present == fingerprint(self._present) else None

    @property
    def present(self) -> str:
        """The key to sign with."""
        return self._present

    @property
    def answer(self) -> str:
        """The node's public value for its heartbeats; empty where no new key is on its way."""
        coming = self._next
        return coming.answer if coming else ""

    def offered(self, offer: str) -> None:
        """The cluster service wants a new key: make its node's half, once for each offer."""
        with self._lock:
            if not offer or offer == self._done or (self._next is not None and self._next.offer == offer):
                return
            secret = secrets.token_hex(32)
            answer = public_of(secret)
            try:
                key = agreed(
                    secret, offer, node=self._node, offer=offer, answer=answer, present=self._present
                )
            except KeyExchangeError as error:
                logger.warning("a new key was offered that cannot be: %s", error)
                return
            coming = Kept(self._configured, fingerprint(self._present), offer, answer, key)
            self._write("key-to-come", coming)
            self._next = coming
            logger.info("a new key is on its way")

    def open(self, raw: object) -> Downward:
        """Open an envelope signed with the present key or the one to come; else MessageError."""
        try:
            return open_down(raw, self._node, self._present)
        except MessageError:
            coming = self._next
            if coming is None:
                raise
            message = open_down(raw, self._node, coming.key)
            self._use(coming)
            return message

    def _use(self, coming: Kept) -> None:
        with self._lock:
            if self._next is not coming:
                return
            self._write("key-in-use", coming)
            self._present, self._done, self._next = coming.key, coming.offer, None
            with contextlib.suppress(FileNotFoundError):
                (self._home / "key-to-come").unlink()
            logger.info("the new key %s is in use", fingerprint(coming.key))

    def _read(self, name: str) -> Kept | None:
        """What was kept, where it belongs to the configured key."""
        try:
            kept = msgspec.json.decode((self._home / name).read_bytes(), type=Kept)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            logger.error("%s in the home cannot be used, the configured key is: %s", name, error)
            return None
        return kept if kept.grown_from == self._configured else None

    def _write(self, name: str, kept: Kept) -> None:
        """Whole or not at all, for nobody else to read."""
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._home / f"{name}.new"
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(kept))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._home / name)
        folder = os.open(self._home, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
