"""Chaos: a whole cluster in real processes, real faults under a seed, and a check that reads journals only.

__main__.py   the command: one run, in namespaces of its own
fabric.py     where each part runs, and how it is cut off from others
parts.py      real processes, and the supervisor that starts what has died
prepare.py    the cluster that is put to the test
beat.py       an application that journals when it served, and as whom
clients.py    who sends mail and operates meanwhile, and remembers what was acknowledged
faults.py     what goes wrong, when and for how long
evidence.py   what the journals, the mailboxes and the history say in the end
verdict.py    the check
night.py      from the first start to the verdict
"""
