"""Where a node's agent speaks to the cluster service over HTTP. Its key is its authority."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from monitoring.api.problems import ProblemError
from monitoring.core.messages import MessageError
from monitoring.service import second_path


class Exchange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sealed envelopes, in either direction."""

    messages: list[object]


@csrf_exempt  # no cookie has a part in this: every message is signed
@login_not_required
@require_POST
def exchange(request: HttpRequest) -> HttpResponse:
    """Take a node's messages in and answer with those for it, as JSON."""
    try:
        posted = msgspec.json.decode(request.body, type=Exchange)
        answers = second_path.exchange(posted.messages)
    except msgspec.DecodeError as error:
        return ProblemError(
            HTTPStatus.BAD_REQUEST, f"The body is no exchange of messages: {error}."
        ).response()
    except MessageError as error:
        return ProblemError(HTTPStatus.FORBIDDEN, str(error), "messages").response()
    return HttpResponse(msgspec.json.encode(Exchange(list(answers))), content_type="application/json")
