"""Who watches: a signed-in user, the session, and the role that the page was drawn for."""

from __future__ import annotations

from dataclasses import dataclass

from monitoring.models.roles import Role


@dataclass(frozen=True, slots=True)
class Visitor:
    """`proof` is the session's hash of the password: it changes when the password does."""

    user: int
    session: str
    proof: str
    role: Role
