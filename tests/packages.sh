#!/bin/sh
# Installs what tests need beside Python packages, where it is missing: as root, by apt. Others
# are told what is missing. No server that comes with a package is started.
set -eu

missing=""
need() {  # PACKAGE COMMAND...: the package, unless all the commands are there
    package=$1
    shift
    for command in "$@"; do
        command -v "$command" >/dev/null 2>&1 || [ -e "$command" ] || { missing="$missing $package"; return; }
    done
}

PATH="$PATH:/usr/sbin:/sbin"
need bind9-dnsutils dig
need chromium chromium
need dbus dbus-daemon
need dovecot-imapd /usr/lib/dovecot/imap
need dovecot-lmtpd /usr/lib/dovecot/lmtp
need dovecot-pop3d /usr/lib/dovecot/pop3
need e2fsprogs mkfs.ext4
need fence-agents fence_dummy
need iproute2 ip
need knot knotd
need kmod modprobe
need nfs-common mount.nfs
need nfs-kernel-server exportfs
need nginx-light nginx
need openssl openssl
need postfix postconf
need postgresql "$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -n 1)"
need redis-server redis-server
need redis-tools redis-check-rdb redis-cli
need resource-agents /usr/lib/ocf/resource.d/heartbeat
need samba smbd
need sg3-utils sg_persist
need smbclient smbclient
need systemd systemctl
[ -z "$missing" ] && exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "clusterweb: tests that need$missing are skipped; install it to run them" >&2
    exit 0
fi

echo "Installing$missing"
policy=/usr/sbin/policy-rc.d  # what invoke-rc.d asks before it starts a server (101: don't)
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
