"""Physical Disk: a directory on shared storage that one node at a time owns."""

from monitoring.resource_dlls.physical_disk.dll import PhysicalDisk

__all__ = ["PhysicalDisk"]
