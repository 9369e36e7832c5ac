"""What all pages that edit the topology share: carry out, or show beside the field why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from monitoring.web.forms import TopologyForm


def carry_out(form: TopologyForm, edit: Callable[[], Any]) -> bool:
    """Run `edit` where the form is valid; False where either refuses, with the errors on the form."""
    if not form.is_valid():
        return False
    try:
        edit()
    except ValidationError as error:
        form.refuse(error)
        return False
    return True


def who(request: HttpRequest) -> str:
    """The name that the history keeps."""
    return str(request.user.get_username())


def done(request: HttpRequest, text: str, to: str, *args: Any) -> HttpResponse:
    """Say what was done, on the page that follows."""
    messages.success(request, text)
    return redirect(to, *args)


def refused(request: HttpRequest, error: ValidationError, to: str, *args: Any) -> HttpResponse:
    """Say why nothing was done, on the page that follows; for edits without fields."""
    messages.error(request, " ".join(error.messages))
    return redirect(to, *args)
