"""Signing in with a name and a password, and changing the password."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import views
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse

from monitoring.access import caller, sign_in, throttle, visits
from monitoring.web import sessions


class SignInForm(AuthenticationForm):
    """Name and password. `wait` is how many seconds have to pass first, 0 where none have."""

    wait = 0
    error_messages = {"invalid_login": "The name or the password is wrong.", "inactive": ""}

    def clean(self) -> dict[str, Any]:
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if name and password:
            assert self.request is not None
            try:
                user = sign_in.by_password(self.request, name, password)
            except throttle.TooManyError as error:
                self.wait = error.seconds
                raise ValidationError(str(error), code="wait") from None
            if user is None:
                raise self.get_invalid_login_error()
            self.user_cache = user
        return self.cleaned_data


class SignInView(views.LoginView):
    """The login page; who is signed in already is sent on."""

    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        response = super().form_valid(form)
        sessions.begin(self.request)
        caller.remember(self.request, response, user.pk)
        return response

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_invalid(form)
        assert isinstance(form, SignInForm)
        if form.wait:
            response.status_code = 429
            response.headers["Retry-After"] = str(form.wait)
        return response


class PasswordForm(PasswordChangeForm):
    """The old password is no easier to guess here than at the login."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request

    def clean_old_password(self) -> str:
        bucket = throttle.Bucket.of("password", str(self.user.pk), self.user.pk, caller.address(self.request))
        try:
            rows = throttle.reserve([bucket])
        except throttle.TooManyError as error:
            raise ValidationError(str(error), code="wait") from None
        try:
            old = super().clean_old_password()
        except ValidationError:
            throttle.failed(rows)
            raise
        throttle.succeeded(rows)
        return old


class PasswordView(views.PasswordChangeView):
    """Another password of one's own; it ends one's other sessions."""

    form_class = PasswordForm

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        response = super().form_valid(form)
        visits.note(self.request)  # the session has a new key
        return response

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}
