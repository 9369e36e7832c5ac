"""Addresses of the dashboard."""

from __future__ import annotations

from django.contrib.auth import views as auth
from django.urls import include, path
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from monitoring.web import account, overview, reading, sign_in
from monitoring.web.palette import page as palette
from monitoring.web.roles import role_not_required

FORM = ["GET", "HEAD", "POST"]

urlpatterns = [
    path("", overview.page, name="overview"),
    path("find/", palette.page, name="find"),
    path("", include("monitoring.web.actions_urls")),
    path("", include("monitoring.web.pages_urls")),
    path(
        "login/",
        require_http_methods(FORM)(sign_in.SignInView.as_view()),
        name="login",
    ),
    path("logout/", role_not_required(require_POST(auth.LogoutView.as_view())), name="logout"),
    path("account/", account.page, name="account"),
    path("account/reading/", reading.page, name="reading"),
    path("account/sessions/end/", account.end_session, name="account_end_session"),
    path(
        "password/",
        role_not_required(require_http_methods(FORM)(sign_in.PasswordView.as_view())),
        name="password_change",
    ),
    path(
        "password/done/",
        role_not_required(require_safe(auth.PasswordChangeDoneView.as_view())),
        name="password_change_done",
    ),
]
