"""The page on who may come in: users, tokens of programs, failed sign-ins. Administrators only.

Users are made and given roles on the command line (`manage.py access`), which also works when
nobody can sign in.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_POST

from monitoring.access import throttle, tokens
from monitoring.models import Attempts, Token
from monitoring.models.roles import Role, role_of
from monitoring.service import clock
from monitoring.web.edits import done, who
from monitoring.web.roles import require_administrator

SHOWN = 50
"""Counts of failed sign-ins, the latest first; the command line lists all."""


class TokenForm(forms.Form):
    """A new token. An administrator makes them for any user, so that a program has one of its own."""

    user = forms.ModelChoiceField(User.objects.none(), empty_label=None)
    name = forms.CharField(max_length=60, help_text="Such as the program's name. The history shows it.")
    role = forms.ChoiceField(choices=[(role.value, role.value) for role in Role])
    days = forms.IntegerField(required=False, label="Days until it ends", help_text="Empty: no end.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user = self.fields["user"]
        assert isinstance(user, forms.ModelChoiceField)
        user.queryset = User.objects.filter(is_active=True).order_by("username")
        self.fields["days"].widget = forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"})
        self.fields["name"].widget.attrs["autocomplete"] = "off"

    def make(self, by: str) -> tokens.Made | None:
        """The token that was asked for; None with the errors on the form where there is none."""
        if not self.is_valid():
            return None
        given = self.cleaned_data
        try:
            return tokens.make(given["user"], given["name"], Role(given["role"]), days=given["days"], by=by)
        except ValidationError as error:
            for field, texts in error.message_dict.items():
                for text in texts:
                    self.add_error(field, text)
            return None


@require_administrator
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """GET shows all; POST makes a token, whose secret is on this one answer and nowhere else."""
    if request.method != "POST":
        return _page(request, TokenForm())
    form = TokenForm(request.POST)
    made = form.make(who(request))
    if made is None:
        return _page(request, form)
    return _page(request, TokenForm(), made)


def _page(request: HttpRequest, form: TokenForm, made: tokens.Made | None = None) -> HttpResponse:
    now = clock.now()
    users = User.objects.prefetch_related("groups").order_by("username")
    attempts = Attempts.objects.filter(failures__gt=0).select_related("user")[:SHOWN]
    context = {
        "users": [(user, role_of(user)) for user in users],
        "attempts": [(row, row.wait(now, throttle.POLICIES[row.kind].longest)) for row in attempts],
        "tokens": tokens.listed(),
        "time": now,
        "form": form,
        "made": made,
    }
    return render(request, "access/page.html", context, status=422 if form.errors else 200)


@require_administrator
@require_POST
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """The end of a token."""
    token = get_object_or_404(Token.objects.select_related("user"), pk=pk)
    tokens.revoke(token, by=who(request))
    return done(request, f"The token {token} of {token.user} has ended.", "access")


@require_administrator
@require_POST
def forget(request: HttpRequest) -> HttpResponse:
    """The end of all waiting after failed sign-ins."""
    throttle.forget()
    return done(request, "Nobody has to wait any more. Failed sign-ins are counted anew.", "access")
