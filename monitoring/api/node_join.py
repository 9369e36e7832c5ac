"""Where a machine that was given a join token gets its key. The token is its authority."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from monitoring.api.problems import ProblemError
from monitoring.service import joining

LARGEST = 4096


class Join(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: str


class Joined(msgspec.Struct, frozen=True):
    """All that the agent of the node needs to start."""

    node: str
    key: str
    broker: str


@csrf_exempt  # no cookie has a part in this
@login_not_required
@require_POST
def join(request: HttpRequest) -> HttpResponse:
    """Take a token, and answer with the node's name, key and way to the broker."""
    try:
        asked = msgspec.json.decode(request.read(LARGEST), type=Join)
        node = joining.redeem(asked.token, request.META.get("REMOTE_ADDR", ""))
    except msgspec.DecodeError:
        return ProblemError(HTTPStatus.BAD_REQUEST, "The body is no join token.").response()
    except joining.TooManyError:
        return ProblemError(HTTPStatus.TOO_MANY_REQUESTS, "Too many wrong tokens. Wait a minute.").response()
    except joining.NotAllowedError:
        text = "This token is wrong, used, revoked or too old. Make a new one on the page of the node."
        return ProblemError(HTTPStatus.FORBIDDEN, text, "token").response()
    answer = msgspec.json.encode(Joined(node.name, node.signing_key, settings.NODE_BROKER_URL))
    return HttpResponse(answer, content_type="application/json", headers={"Cache-Control": "no-store"})
