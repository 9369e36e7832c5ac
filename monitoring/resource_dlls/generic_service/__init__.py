"""Generic Service: a systemd unit of the node."""

from monitoring.resource_dlls.generic_service.dll import GenericService

__all__ = ["GenericService"]
