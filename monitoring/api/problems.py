"""Errors of the API as problem documents (RFC 9457), with the field that is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from django.core.exceptions import ValidationError
from django.http import HttpResponse

CHALLENGE = 'Basic realm="ClusterWeb", charset="UTF-8", Bearer realm="ClusterWeb"'


class ProblemError(Exception):
    """A request that cannot be answered; becomes a problem document with this status."""

    def __init__(
        self, status: HTTPStatus, detail: str, field: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.headers = headers or {}

    def response(self) -> HttpResponse:
        document = {"type": "about:blank", "title": self.status.phrase, "status": int(self.status)}
        document["detail"] = self.detail
        if self.field:
            document["field"] = self.field
        answer = HttpResponse(
            msgspec.json.encode(document), content_type="application/problem+json", status=self.status
        )
        for name, value in self.headers.items():
            answer[name] = value
        if self.status == HTTPStatus.UNAUTHORIZED:
            answer["WWW-Authenticate"] = CHALLENGE
        return answer


_PLACE = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


def invalid(error: msgspec.ValidationError) -> ProblemError:
    """The problem that a validation found, with the field taken out of its text."""
    text = str(error)
    place = _PLACE.search(text)
    unknown = _UNKNOWN.search(text)
    field = place.group(1) if place else unknown.group(1) if unknown else ""
    return ProblemError(HTTPStatus.BAD_REQUEST, _PLACE.sub("", text) + ".", field)


def refused_edit(error: ValidationError) -> ProblemError:
    """The problem of an edit that cannot be, with the first field that is wrong."""
    by_field = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
    field, texts = next(iter(by_field.items()))
    return ProblemError(HTTPStatus.BAD_REQUEST, " ".join(texts), "" if field == "__all__" else field)
