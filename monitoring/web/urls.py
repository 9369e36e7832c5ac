"""Addresses of the dashboard."""

from __future__ import annotations

from django.contrib.auth import views as auth
from django.urls import include, path

from monitoring.web import find, overview
from monitoring.web.roles import role_not_required

urlpatterns = [
    path("", overview.page, name="overview"),
    path("find/", find.page, name="find"),
    path("", include("monitoring.web.actions_urls")),
    path("", include("monitoring.web.pages_urls")),
    path("login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", role_not_required(auth.LogoutView.as_view()), name="logout"),
    path("password/", role_not_required(auth.PasswordChangeView.as_view()), name="password_change"),
    path(
        "password/done/",
        role_not_required(auth.PasswordChangeDoneView.as_view()),
        name="password_change_done",
    ),
]
