"""A virtual server that moves between hosts while its users send and read mail.

`python -m tests.cluster.moves` plays it: hosts are network and mount namespaces on a bridge, with a
cluster, its nodes' agents and a mail client in them. See test_mail_moves.py for what is promised.
"""
