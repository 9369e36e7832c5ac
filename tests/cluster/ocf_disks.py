"""Disks with what OCF agents run from them: a web site, a database, a key-value store, a mail system.

Each is an image of a file system, which the agent Filesystem mounts through a loop device.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.resource_dlls.databases import make_database

NGINX = """
pid /run/nginx-web.pid; error_log {mount}/error.log; worker_processes 1; events {{}}
http {{ access_log off; server {{ listen {address}:80; root {mount}/site; }} }}
"""
REDIS = """
bind {address}
port 6379
protected-mode no
dir {mount}/redis
appendonly yes
unixsocket /run/redis-data/redis.sock
logfile {mount}/redis/redis.log
"""
POSTGRESQL = """
listen_addresses = '{address}'
unix_socket_directories = ''
fsync = off
shared_buffers = 16MB
"""
POSTFIX = """
compatibility_level = 3.6
queue_directory = {mount}/spool
data_directory = {mount}/state
inet_interfaces = {address}
inet_protocols = ipv4
myhostname = mail.example.com
mydestination =
mynetworks = {network}
alias_maps =
local_recipient_maps =
virtual_mailbox_domains = example.com
virtual_mailbox_maps = static:box/
virtual_mailbox_base = {mount}/mailboxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
message_size_limit = 100000
maillog_file = {mount}/mail.log
maillog_file_prefixes = {mount}
"""
MASTER = """
smtp      inet n - n - - smtpd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
proxymap  unix - - n - - proxymap
error     unix - - n - - error
retry     unix - - n - - error
virtual   unix - n n - - virtual
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


def image(folder: Path, name: str, size: str) -> Path:
    """An image of the folder's content, with its owners."""
    path = folder.with_name(f"{name}.img")
    program = shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:/usr/bin") or "mkfs.ext4"
    argv = [program, "-q", "-E", "root_owner=0:0", "-d", str(folder), str(path), size]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(folder)
    return path


def web(folder: Path, mount: Path, address: str) -> None:
    (folder / "site").mkdir(parents=True)
    (folder / "site" / "index.html").write_text("the site")
    (folder / "nginx.conf").write_text(NGINX.format(mount=mount, address=address))


def data(folder: Path, mount: Path, address: str) -> None:
    folder.mkdir()
    make_database(folder / "postgresql")
    with (folder / "postgresql" / "postgresql.conf").open("a") as settings:
        settings.write(POSTGRESQL.format(address=address))
    (folder / "redis").mkdir()
    settings_file = folder / "redis" / "redis.conf"
    settings_file.write_text(REDIS.format(mount=mount, address=address))
    for path in (folder / "redis", settings_file):
        shutil.chown(path, "redis", "redis")


def mail(folder: Path, mount: Path, address: str, etc: Path) -> None:
    """`etc`: what lies over /etc/postfix on the hosts."""
    for name in ("spool", "state", "mailboxes"):
        (folder / name).mkdir(parents=True)
    shutil.chown(folder / "state", "postfix", "postfix")
    shutil.chown(folder / "mailboxes", "postfix", "postfix")
    owner = (folder / "state").stat()
    etc.mkdir()
    for kept in ("postfix-files", "dynamicmaps.cf", "postfix-script", "post-install"):
        if (Path("/etc/postfix") / kept).exists():
            shutil.copy(Path("/etc/postfix") / kept, etc)
    main = POSTFIX.format(
        mount=mount,
        address=address,
        network=f"{address.rpartition('.')[0]}.0/24",
        uid=owner.st_uid,
        gid=owner.st_gid,
    )
    (etc / "main.cf").write_text(main)
    (etc / "master.cf").write_text(MASTER)
