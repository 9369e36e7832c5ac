"""File shares: directories of the group's disk, for Windows clients (SMB) and for Unix ones (NFS)."""

from monitoring.resource_dlls.file_share.nfs import NFSExport
from monitoring.resource_dlls.file_share.samba import FileShare

__all__ = ["FileShare", "NFSExport"]
