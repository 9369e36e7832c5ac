"""Calls between the services of a virtual server: XML-RPC over HTTP, by Twisted.

A callable service publishes its port and a fresh token in a file on the group's disk that
only the cluster's user can read; callers read it there. So a call finds the service wherever
it is, and nobody else on the network can make one. Each has a health page, GET /health.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from collections.abc import Callable
from typing import Any, TypeVar
from xmlrpc.client import Fault

from twisted.internet.defer import Deferred, fail
from twisted.web import resource, server, xmlrpc

from monitoring.resource_dlls.exchange.services.late_reactor import reactor
from monitoring.resource_dlls.exchange.services.place import Place

ANSWER_LIMIT_S = 10.0


class ServiceUnavailableError(Exception):
    """The service called is not there, or does not answer."""


class QuietSite(server.Site):
    """A site without an access log, and without the timer that keeps the log's date."""

    def startFactory(self) -> None:  # noqa: N802
        pass

    def stopFactory(self) -> None:  # noqa: N802
        pass

    def log(self, request: Any) -> None:
        pass


class HealthPage(resource.Resource):
    """200 and "ok" where `check` finds nothing wrong, else 503 and what it raised."""

    isLeaf = True  # noqa: N815

    def __init__(self, check: Callable[[], Any]) -> None:
        super().__init__()
        self._check = check

    def render_GET(self, request: Any) -> bytes:  # noqa: N802
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        try:
            self._check()
        except Exception as error:
            request.setResponseCode(503)
            return f"{type(error).__name__}: {error}\n".encode()
        return b"ok\n"


_Method = TypeVar("_Method", bound=Callable[..., Any])


def callable_by_others(method: _Method) -> _Method:
    """Mark a method as one that other services may call."""
    method.callable_by_others = True  # type: ignore[attr-defined]
    return method


class CallsFrom(xmlrpc.XMLRPC):
    """The methods of `target` marked `callable_by_others`, for whoever knows the token."""

    def __init__(self, target: Any, token: str) -> None:
        super().__init__(allowNone=True)
        self._target = target
        self._token = token.encode()

    def render_POST(self, request: Any) -> Any:  # noqa: N802
        if not hmac.compare_digest(request.getPassword(), self._token):
            request.setResponseCode(401)
            return b"this service is for the virtual server it belongs to\n"
        return super().render_POST(request)

    def lookupProcedure(self, procedurePath: str) -> Any:  # noqa: N802, N803
        method = getattr(self._target, procedurePath, None)
        if not getattr(method, "callable_by_others", False):
            raise xmlrpc.NoSuchFunction(self.NOT_FOUND, f"no call {procedurePath}")
        return method


def listen(place: Place, port: int, check: Callable[[], Any], target: Any = None) -> None:
    """Serve the health page and, where `target` is given, its calls; publish how to make them."""
    root: Any = resource.Resource()  # Twisted declares its interfaces at run time
    root.putChild(b"health", HealthPage(check))
    token = secrets.token_hex(16)
    if target is not None:
        root.putChild(b"calls", CallsFrom(target, token))
    reactor.listenTCP(port, QuietSite(root), interface=place.address)
    if target is not None:
        _publish(place, port, token)


def _publish(place: Place, port: int, token: str) -> None:
    place.folder.mkdir(exist_ok=True)
    final = place.folder / f"{place.service}.json"
    temporary = place.folder / f".{place.service}.{os.getpid()}"
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"address": place.address, "port": port, "token": token}, file)
    temporary.replace(final)


class Service:
    """Another service of the same virtual server, to be called."""

    def __init__(self, place: Place, name: str) -> None:
        self._file = place.folder / f"{name}.json"
        self._name = name

    def call(self, method: str, *arguments: Any, limit: float = ANSWER_LIMIT_S) -> Deferred[Any]:
        """The answer, later; Fault where the service refuses, else ServiceUnavailableError."""
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            return fail(ServiceUnavailableError(f"{self._name} is not there: {error}"))
        proxy = xmlrpc.Proxy(
            f"http://{found['address']}:{found['port']}/calls".encode(),
            user=b"service",
            password=found["token"].encode(),
            allowNone=True,
            connectTimeout=limit,
        )
        answer: Deferred[Any] = proxy.callRemote(method, *arguments)
        answer.addTimeout(limit, reactor)
        answer.addErrback(self._translate)
        return answer

    def _translate(self, failure: Any) -> Any:
        if failure.check(Fault):
            return failure
        raise ServiceUnavailableError(f"{self._name} does not answer: {failure.getErrorMessage()}")
