"""The properties of a Physical Disk."""

from __future__ import annotations

from monitoring.resource_dlls.api import Property
from monitoring.resource_dlls.physical_disk import fsck, mounting, scsi, taking_down

PROPERTIES = (
    Property(
        "Path",
        kind="path",
        required=True,
        unique="cluster",
        help="where the disk is found: the mount point of its Device, or, without one, a directory on storage"
        " that all possible owners share; made where it is missing",
    ),
    Property(
        "Device",
        default="",
        placeholder="none, Path is a shared directory",
        unique="cluster",
        help="what is mounted at Path: /dev/disk/by-id/…, UUID=…, LABEL=…, an image file, or server:/export",
        details="Empty: Path is a shared directory, and nothing is mounted. The name has to mean the same on"
        " all nodes, which /dev/sdb does not. server:/export is NFS. An image file becomes a loop device.",
    ),
    Property(
        "FileSystem",
        default="",
        placeholder="as found on the device",
        help="type of the file system, such as ext4 or xfs",
    ),
    Property("MountOptions", default="", help="as for mount -o, such as noatime,nodev"),
    Property(
        "FileSystemCheck",
        default=fsck.WHEN_NEEDED,
        choices=fsck.POLICIES,
        help="check before it is mounted; errors that cannot be corrected keep the disk offline",
        details="when needed: what fsck -p does, milliseconds for a clean ext4; XFS and btrfs replay their"
        " log when they are mounted. always: a full check each time, which takes long on a large disk.",
    ),
    Property(
        "PersistentReservation",
        default=scsi.AUTO,
        choices=scsi.MODES,
        help="reserve the device itself (SCSI-3): auto where it can be, always refuses one that cannot",
    ),
    Property(
        "MultiMountProtection",
        default=mounting.AS_FOUND,
        choices=mounting.PROTECTION_CHOICES,
        help="of ext4: a mount waits to see that no other node has it mounted; turn on adds the feature",
        details="Each mount takes 11 seconds longer, 22 after a crash. Where the device has persistent"
        " reservations it is not needed.",
    ),
    Property(
        "LockPath",
        kind="path",
        help="directory on other storage that all possible owners share, in which the owner holds a lock",
    ),
    Property(
        "BusyProcesses",
        default=taking_down.END,
        choices=taking_down.BUSY_CHOICES,
        help="what to do about processes that hold the disk when it goes offline; the history names them",
        details="end them: SIGTERM, after BusyTimeout SIGKILL. wait: Offline waits until they have ended by"
        " themselves. leave: they stay, the file system is shut down under them, and takes nothing more from"
        " them. When the node has to give the disk up at once, wait does not wait.",
    ),
    Property(
        "BusyTimeout",
        kind="int",
        default=5000,
        maximum=600_000,
        unit="ms",
        help="time that processes which hold the disk have after SIGTERM",
    ),
    Property(
        "ProbeTimeout",
        kind="int",
        default=10_000,
        minimum=50,
        maximum=600_000,
        unit="ms",
        help="IsAlive writes and reads a file; a disk on which that takes longer has failed",
    ),
    Property(
        "SpaceWarning",
        kind="int",
        default=90,
        minimum=1,
        maximum=101,
        unit="%",
        help="warn when that much of the space, or of the inodes, is used; 101: never",
    ),
)
