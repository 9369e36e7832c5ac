"""Network Name: the name by which clients find a group, whichever node runs it."""

from monitoring.resource_dlls.network_name.dll import NetworkName

__all__ = ["NetworkName"]
