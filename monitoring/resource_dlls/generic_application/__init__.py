"""Generic Application: any command, watched from the moment it starts."""

from monitoring.resource_dlls.generic_application.dll import GenericApplication

__all__ = ["GenericApplication"]
