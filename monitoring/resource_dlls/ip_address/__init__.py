"""IP Address: an IPv4 address that moves with its group."""

from monitoring.resource_dlls.ip_address.dll import IPAddress

__all__ = ["IPAddress"]
