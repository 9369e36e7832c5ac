"""The frame of every API view: method, user, role, validated input, JSON out, problems."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar, get_origin, get_type_hints

import msgspec
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig, ValidationError
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from monitoring.access import trail
from monitoring.api.auth import SAFE_METHODS, name_of, user_of
from monitoring.api.problems import ProblemError, invalid, refused_edit
from monitoring.core.model import Refused
from monitoring.models.roles import Role, has_role
from monitoring.service.lock import UndoneError
from monitoring.service.lookup import UnknownNameError

log = logging.getLogger(__name__)

AskedT = TypeVar("AskedT", bound=msgspec.Struct)
View = Callable[..., object]
ANY = "any"
"""For an address at which no method is allowed: better told that there is nothing."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with another status than 200, or with headers; `body` is JSON unless it is bytes."""

    body: object
    status: HTTPStatus = HTTPStatus.OK
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


def endpoint(
    method: str, role: Role, asked: type[AskedT]
) -> Callable[[Callable[..., object]], Callable[..., HttpResponse]]:
    """Make an API view of `view(user, asked, **path)`: who may call it, with which input.

    The input is the query of a GET and the JSON body of a POST. Authentication is the API's
    own (api.auth): a redirect to a login page helps no program.
    """

    def decorate(view: View) -> Callable[..., HttpResponse]:
        @wraps(view)
        def answer(request: HttpRequest, **path: Any) -> HttpResponse:
            try:
                return _answer(request, method, role, asked, view, path)
            except ProblemError as problem:
                return problem.response()
            except UnknownNameError as error:
                status = HTTPStatus.NOT_FOUND if error.field in path else HTTPStatus.BAD_REQUEST
                return ProblemError(status, str(error), error.field).response()
            except Refused as error:
                return ProblemError(HTTPStatus.CONFLICT, error.message, error.field).response()
            except UndoneError:
                text = "The database was busy or restarted. Nothing was changed: try again."
                return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, text).response()
            except DatabaseError:
                log.exception("%s %s: no database", request.method, request.path)
                text = "The database does not answer. An action may have been accepted or not: look first."
                return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, text).response()
            except RequestDataTooBig:
                text = "The body is too large."
                return ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text).response()
            except ValidationError as error:
                return refused_edit(error).response()
            except Exception:
                log.exception("%s %s failed", request.method, request.path)
                text = "The cluster service could not answer; its log says why."
                return ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, text).response()

        return login_not_required(csrf_exempt(answer))

    return decorate


def _answer(
    request: HttpRequest, method: str, role: Role, asked: type[AskedT], view: View, path: dict[str, Any]
) -> HttpResponse:
    user = user_of(request)
    if (origin := getattr(request, "origin", None)) is not None:
        trail.acts_as(origin, user, name_of(user))
    if not has_role(user, role):
        raise ProblemError(HTTPStatus.FORBIDDEN, f"This needs the role {role.value}.")
    allowed = SAFE_METHODS if method == "GET" else {method}
    if request.method not in allowed and method != ANY:
        raise ProblemError(HTTPStatus.METHOD_NOT_ALLOWED, f"Use {method} here.")
    found = view(user, _input(request, asked), **path)
    reply = found if isinstance(found, Reply) else Reply(found)
    response = HttpResponse(
        reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body),
        content_type=reply.content_type,
        status=reply.status,
        headers=reply.headers,
    )
    response["Cache-Control"] = "no-store"
    return response


def _input(request: HttpRequest, asked: type[AskedT]) -> AskedT:
    try:
        if request.method in SAFE_METHODS:
            return msgspec.convert(_query(request, asked), asked, strict=False)
        return msgspec.json.decode(request.body or b"{}", type=asked)
    except msgspec.ValidationError as error:
        raise invalid(error) from None
    except msgspec.DecodeError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"The body is no JSON: {error}.") from None


def _query(request: HttpRequest, asked: type[msgspec.Struct]) -> dict[str, Any]:
    """The query by name: the last value of each, all of those that may be given several times."""
    hints = get_type_hints(asked)
    several = {name for name, hint in hints.items() if get_origin(hint) is tuple}
    return {name: values if name in several else values[-1] for name, values in request.GET.lists() if values}
