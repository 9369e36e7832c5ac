"""An Exchange Virtual Server by Postfix, Dovecot and nginx, on the group's own disk and address.

Each resource runs an instance of its own, with its own configuration, sockets and queue: what the
distribution has in /etc and /var/spool is neither read nor written, and several can run beside
each other. `base` has what all share; `dovecot`, `postfix` and `nginx` the types.
"""
