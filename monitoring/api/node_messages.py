"""Where a node's agent speaks to the cluster service over HTTP. Its key is its authority."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

import msgspec
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from monitoring.api.problems import ProblemError
from monitoring.core.messages import BODY, MessageError
from monitoring.service import refusals, second_path

LARGEST = 2 * BODY
"""Bytes of an exchange at most."""


class Exchange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sealed envelopes, in either direction."""

    messages: Annotated[list[object], msgspec.Meta(max_length=2000)]


@csrf_exempt  # no cookie has a part in this: every message is signed
@login_not_required
@require_POST
def exchange(request: HttpRequest) -> HttpResponse:
    """Take a node's messages in and answer with those for it, as JSON."""
    try:
        body = request.read(LARGEST + 1)
        if len(body) > LARGEST:
            text = f"The body is larger than {LARGEST} bytes."
            return ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text).response()
        posted = msgspec.json.decode(body, type=Exchange)
        answers = second_path.exchange(posted.messages)
    except (msgspec.DecodeError, RecursionError) as error:
        refusals.count(None, f"over HTTP: {error}")
        return ProblemError(
            HTTPStatus.BAD_REQUEST, f"The body is no exchange of messages: {error}."
        ).response()
    except MessageError as error:
        return ProblemError(HTTPStatus.FORBIDDEN, str(error), "messages").response()
    return HttpResponse(msgspec.json.encode(Exchange(list(answers))), content_type="application/json")
