"""The supervisor behind `make run`: a whole cluster on one machine, started and stopped as one.

It knows processes only: neither Django nor the rooms of `monitoring` are imported here.

    config.py      what the environment asks for
    home.py        the folder of all state: lock, secrets, pid files
    broker.py      the embedded Valkey
    child.py       one supervised process
    processes.py   which processes make up a cluster
    leftovers.py   what an earlier life left running
    supervisor.py  start, watch, stop
"""
