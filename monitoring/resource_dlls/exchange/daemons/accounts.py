"""Who may log in: mailboxes, their passwords, and the account of the probes.

What is written for Dovecot holds hashes only, and lies where only root and its auth process read.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monitoring.resource_dlls.api import Property, PropertyError
from monitoring.resource_dlls.exchange.daemons import place

PROBE = "clusterweb-probe"
"""The mailbox that IsAlive logs in to."""
ROUNDS = 5000
"""Dovecot's own number for PBKDF2; a login costs some milliseconds."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_HASHED = re.compile(r"\{[A-Z0-9.-]+\}[^:\s]+")
PROPERTIES = (
    Property("Mailboxes", default="postmaster", help="names, separated by commas"),
    Property("MailboxPassword", secret=True, help="of the mailboxes that have none of their own"),
    Property(
        "Passwords",
        secret=True,
        help="passwords of single mailboxes: name:password, separated by spaces",
        details="A hash made by 'doveadm pw' is taken as it is: alice:{SHA512-CRYPT}$6$… A mailbox that has"
        " neither a password of its own nor the common one takes mail, and nobody can log in to it.",
    ),
)


def mailboxes(values: Mapping[str, Any]) -> list[str]:
    """Names in lower case; postmaster is always among them (RFC 5321, 4.5.1)."""
    names = [name.strip().lower() for name in (values["Mailboxes"] or "").split(",")]
    return list(dict.fromkeys(["postmaster", *filter(None, names)]))


def own_passwords(values: Mapping[str, Any]) -> dict[str, str]:
    pairs = [pair.partition(":") for pair in (values["Passwords"] or "").split()]
    return {name.lower(): password for name, _, password in pairs}


def check_values(values: Mapping[str, Any]) -> None:
    names = mailboxes(values)
    for name in names:
        if not _NAME.fullmatch(name) or name == PROBE:
            raise PropertyError("Mailboxes", f"{name!r} cannot be the name of a mailbox")
    own = own_passwords(values)
    if not all(own.values()):
        raise PropertyError("Passwords", "write name:password for each, without spaces in the password")
    if unknown := sorted(set(own) - set(names)):
        raise PropertyError("Passwords", f"Mailboxes has no {', '.join(unknown)}")


def passwd(values: Mapping[str, Any], probe_password: str, uid: int, gid: int, mail: Path) -> str:
    """Dovecot's passwd-file: one line a mailbox, with the probes' own at the end."""
    own = own_passwords(values)
    common = values["MailboxPassword"] or ""
    passwords = {name: own.get(name, common) for name in mailboxes(values)}
    passwords[PROBE] = probe_password
    lines = [
        f"{name}:{hashed(password)}:{uid}:{gid}::{mail / name}::" for name, password in passwords.items()
    ]
    return "\n".join(lines) + "\n"


def hashed(password: str) -> str:
    """A password as Dovecot reads it; "*", which fits none, where there is none."""
    if not password:
        return "{CRYPT}*"
    if _HASHED.fullmatch(password):
        return password
    salt = secrets.token_hex(8)
    digest = hashlib.pbkdf2_hmac("sha1", password.encode(), salt.encode(), ROUNDS).hex()
    return f"{{PBKDF2}}$1${salt}${ROUNDS}${digest}"


def new_probe_password(folder: Path) -> str:
    """A password for the probes, which other resources of the group on this node read where it lies."""
    password = secrets.token_urlsafe(24)
    place.write(folder / "probe", password)
    return password


def probe_password(folder: Path) -> str:
    return (folder / "probe").read_text(encoding="utf-8")
