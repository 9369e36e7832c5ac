"""Addresses of the dashboard."""

from __future__ import annotations

from django.contrib.auth import views as auth
from django.urls import include, path
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from monitoring.web import find, overview
from monitoring.web.roles import role_not_required

FORM = ["GET", "HEAD", "POST"]

urlpatterns = [
    path("", overview.page, name="overview"),
    path("find/", find.page, name="find"),
    path("", include("monitoring.web.actions_urls")),
    path("", include("monitoring.web.pages_urls")),
    path(
        "login/",
        require_http_methods(FORM)(auth.LoginView.as_view(redirect_authenticated_user=True)),
        name="login",
    ),
    path("logout/", role_not_required(require_POST(auth.LogoutView.as_view())), name="logout"),
    path(
        "password/",
        role_not_required(require_http_methods(FORM)(auth.PasswordChangeView.as_view())),
        name="password_change",
    ),
    path(
        "password/done/",
        role_not_required(require_safe(auth.PasswordChangeDoneView.as_view())),
        name="password_change_done",
    ),
]
