"""The Django app that holds all rooms of the project."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class MonitoringConfig(AppConfig):
    name = "monitoring"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from monitoring.access import trail

        post_migrate.connect(_create_roles, sender=self)
        trail.listen()


def _create_roles(**_: Any) -> None:
    """A database that was migrated has the three roles, whoever fills it."""
    from monitoring.models.roles import ensure_roles

    ensure_roles()
