"""`manage.py access`: who may come in. Users and roles, tokens of programs, failed sign-ins.

Exit code 0: done; 2: bad input. It asks for no password: who may run it has the database.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser

from monitoring.access import throttle, tokens, users
from monitoring.management.audited import AuditedCommand
from monitoring.management.audited import who as _who
from monitoring.management.tables import clock_time, duration, table
from monitoring.models import Attempts, Token
from monitoring.models.roles import Role, role_of
from monitoring.service import clock

BAD_INPUT = 2
ROLES = [role.value for role in Role]


class Command(AuditedCommand):
    help = "Users, tokens of programs, and failed sign-ins."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

        def add(name: str, what: str, *names: str) -> CommandParser:
            made: CommandParser = commands.add_parser(name, help=what, description=what)
            for argument in names:
                made.add_argument(argument.strip("[]"), nargs="?" if argument.startswith("[") else None)
            return made

        add("users", "List the users with their roles")
        add("add-user", "Make a user; prints the password", "name").add_argument("role", choices=ROLES)
        add("role", "Give a user another role", "name").add_argument("role", choices=[*ROLES, "none"])
        add("shut-out", "End all sessions and tokens of a user, and let nobody in by that name", "name")
        add("let-in", "Let a user in again", "name")
        add("sign-ins", "List failed sign-ins, and who has to wait")
        add("unblock", "End the waiting of a user or an address, of all where none is named", "[who]")
        add("tokens", "List the tokens of programs")
        token = add("add-token", "Make a token of a user; prints it", "user", "name")
        token.add_argument("--role", choices=ROLES, help="default: the user's own")
        token.add_argument("--days", type=int, help="until it ends by itself; default: never")
        add("revoke-token", "End a token at once", "user", "name")

    def handle(self, *args: Any, **options: Any) -> None:
        run: Callable[[dict[str, Any]], None] = getattr(self, f"_{options['command'].replace('-', '_')}")
        try:
            run(options)
        except ValidationError as error:
            self._fail("\n".join(error.messages))

    def _fail(self, text: str) -> NoReturn:
        self.stderr.write(text)
        sys.exit(BAD_INPUT)

    def _user(self, name: str) -> User:
        user = User.objects.filter(username=name).first()
        if user is None:
            self._fail(f"There is no user {name}. `manage.py access users` lists them.")
        return user

    def _users(self, options: dict[str, Any]) -> None:
        rows = []
        for user in User.objects.prefetch_related("groups").order_by("username"):
            state = "" if user.is_active else "shut out"
            last = user.last_login.strftime("%Y-%m-%d %H:%M") if user.last_login else "never"
            held = ", ".join(group.name for group in user.groups.all()) if not user.is_active else None
            rows.append([user.username, held or role_of(user) or "none", last, state])
        self.stdout.write(table(["USER", "ROLE", "LAST SIGN-IN (UTC)", ""], rows, self.style))

    def _add_user(self, options: dict[str, Any]) -> None:
        made = users.add(options["name"], Role(options["role"]), by=_who())
        self.stdout.write(made.password)

    def _role(self, options: dict[str, Any]) -> None:
        role = None if options["role"] == "none" else Role(options["role"])
        users.set_role(self._user(options["name"]), role, by=_who())

    def _shut_out(self, options: dict[str, Any]) -> None:
        users.set_active(self._user(options["name"]), False, by=_who())

    def _let_in(self, options: dict[str, Any]) -> None:
        users.set_active(self._user(options["name"]), True, by=_who())

    def _sign_ins(self, options: dict[str, Any]) -> None:
        now, rows = clock.now(), []
        for row in Attempts.objects.filter(failures__gt=0).select_related("user"):
            wait = row.wait(now, throttle.POLICIES[row.kind].longest)
            who = row.user.username if row.user else "(nobody)"
            waits = f"waits {duration(wait)}" if wait else ""
            rows.append([_time(row.last_at), who, row.address, str(row.failures), waits])
        self.stdout.write(table(["LAST", "USER", "ADDRESS", "FAILED", ""], rows, self.style))

    def _unblock(self, options: dict[str, Any]) -> None:
        who = options["who"]
        user = User.objects.filter(username=who).first() if who else None
        address = who if who and user is None else ""
        if address and not Attempts.objects.filter(address=address).exists():
            self._fail(f"{who} is no user, and no address from which a sign-in failed.")
        count = throttle.forget(user, address)
        self.stdout.write(f"{count} counts of failed sign-ins were forgotten.")

    def _tokens(self, options: dict[str, Any]) -> None:
        rows = [
            [
                token.user.username,
                token.name,
                token.role,
                _time(token.used_at) if token.used_at else "never",
                _time(token.expires_at) if token.expires_at else "no end",
            ]
            for token in tokens.listed()
        ]
        self.stdout.write(table(["USER", "TOKEN", "ROLE", "USED", "ENDS"], rows, self.style))

    def _add_token(self, options: dict[str, Any]) -> None:
        user = self._user(options["user"])
        role = Role(options["role"]) if options["role"] else role_of(user)
        if role is None:
            self._fail(f"{user} has no role, so a token could do nothing.")
        made = tokens.make(user, options["name"], role, days=options["days"], by=_who())
        self.stdout.write(made.secret)

    def _revoke_token(self, options: dict[str, Any]) -> None:
        token = Token.objects.filter(user=self._user(options["user"]), name=options["name"]).first()
        if token is None:
            self._fail(f"{options['user']} has no token {options['name']}.")
        tokens.revoke(token, by=_who())


def _time(at: float) -> str:
    return clock_time(datetime.fromtimestamp(at, UTC))
