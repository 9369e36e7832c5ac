"""Who may do what on the web: enforced here, whatever a page shows or hides."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from monitoring.models.roles import Role, has_role

View = Callable[..., HttpResponseBase]


class ViewerRequiredMiddleware(MiddlewareMixin):
    """Refuses users who were given no role, on every view that needs a login.

    Runs after LoginRequiredMiddleware and follows the same mark (`login_not_required`), so
    that a new view is closed unless it says otherwise.
    """

    def process_view(self, request: HttpRequest, view: View, args: Any, kwargs: Any) -> None:
        if not getattr(view, "login_required", True) or not request.user.is_authenticated:
            return
        if getattr(view, "role_not_required", False) or has_role(request.user, Role.VIEWER):
            return
        raise PermissionDenied("Your account has no role yet. Ask an administrator for one.")


def role_not_required(view: View) -> View:
    """For what a signed-in user may do without any role: sign out, change the password."""
    view.role_not_required = True  # type: ignore[attr-defined]
    return view


def require(role: Role) -> Callable[[View], View]:
    """Only users of this role or a higher one."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not has_role(request.user, role):
                raise PermissionDenied(f"This needs the role {role.value}.")
            return view(request, *args, **kwargs)

        return guarded

    return decorate


require_operator = require(Role.OPERATOR)
require_administrator = require(Role.ADMINISTRATOR)
