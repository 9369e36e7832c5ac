"""Fencing: which nodes have to be turned off, by what, and how far that has come.

`fences` is the state of it, changed under the cluster's lock like everything else; `work` does
the acts, outside of the lock, for they take seconds to minutes; `runner` is the thread of the
cluster service that looks for work.
"""
