"""Checks a file system before it is mounted, as the disk's FileSystemCheck says, and reads fsck's answer.

Source: fsck(8), e2fsck(8): exit codes; xfs_repair(8); btrfs-check(8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from monitoring.resource_dlls.api import ResourceError
from monitoring.resource_dlls.programs import Done

NEVER, WHEN_NEEDED, ALWAYS = "never", "when needed", "always"
POLICIES = (WHEN_NEEDED, ALWAYS, NEVER)

CORRECTED, REBOOT, UNCORRECTED = 1, 2, 4
DIRTY_LOG = 2
LOG_IGNORED = "changes in a log"
"""xfs_repair -n: the log has to be replayed first, which the mount does; before, it means nothing."""
EXT = frozenset({"ext2", "ext3", "ext4"})
CHECKED_BY_MOUNT = frozenset({"xfs", "btrfs", "bcachefs"})
"""They replay their log when they are mounted, and have no fsck that a start should run."""

Run = Callable[[Sequence[str]], Done]
Say = Callable[[str], None]


def check(node: str, filesystem: str, policy: str, run: Run, say: Say) -> None:
    """Check and repair what can be repaired without asking; ResourceError where it must not be mounted."""
    if policy == NEVER:
        return
    if filesystem in EXT:
        options = ["-p"] if policy == WHEN_NEEDED else ["-p", "-f"]
        judge(node, run([f"fsck.{filesystem}", *options, node]), say)
    elif filesystem not in CHECKED_BY_MOUNT:
        judge(node, run([f"fsck.{filesystem}", "-a", node]), say)
    elif policy == ALWAYS and filesystem == "xfs":
        done = run(["xfs_repair", "-n", node])
        if done.code == DIRTY_LOG or done.line_with(LOG_IGNORED):
            say(f"the file system on {node} was not checked: the mount has to replay its log first")
        else:
            _judge_plainly(node, done, f"xfs_repair {node}")
    elif policy == ALWAYS and filesystem == "btrfs":
        _judge_plainly(node, run(["btrfs", "check", "--readonly", node]), f"btrfs check {node}")


def judge(node: str, done: Done, say: Say) -> None:
    """Exit codes of fsck are bits, added up."""
    if done.code & ~CORRECTED == 0:
        if done.code:
            say(f"the file system on {node} had errors, which are corrected: {done.last_line}")
    elif done.code & UNCORRECTED:
        raise _needs_a_person(node, done, f"fsck {node}")
    elif done.code & ~(CORRECTED | REBOOT) == 0:
        raise ResourceError(
            f"the file system on {node} was corrected; reboot this machine before it is mounted"
        )
    else:
        raise _not_checked(node, done)


def _judge_plainly(node: str, done: Done, command: str) -> None:
    """Of programs whose answer is 0, or 1 where they have found errors."""
    if done.code == 1:
        raise _needs_a_person(node, done, command)
    if done.code:
        raise _not_checked(node, done)


def _needs_a_person(node: str, done: Done, command: str) -> ResourceError:
    return ResourceError(
        f"the file system on {node} has errors that a person must look at: run `{command}` while the disk"
        f" is offline, then bring it online ({done.last_line})"
    )


def _not_checked(node: str, done: Done) -> ResourceError:
    said = done.line_with("MMP") or done.last_line
    return ResourceError(f"the file system on {node} could not be checked (exit code {done.code}): {said}")
