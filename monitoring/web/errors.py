"""The pages for what went wrong: no right, no such page, an error of ours."""

from __future__ import annotations

import sys

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return render(request, "403.html", {"reason": str(exception)}, status=403)


def no_token(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without the token of this session: an old page, or one of another site."""
    text = "This form is older than your session, or it came from another site. Load the page again."
    return render(request, "403.html", {"reason": text}, status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return render(request, "404.html", status=404)


def broken(request: HttpRequest) -> HttpResponse:
    """Rendered without the request: what is broken may be the database itself."""
    no_database = isinstance(sys.exception(), DatabaseError)
    page = render_to_string("500.html", {"no_database": no_database})
    return HttpResponse(page, status=503 if no_database else 500)
