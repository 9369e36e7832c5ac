"""A resource monitor process of its own, for one resource (SeparateMonitor).

The process holds the instance of the resource DLL and runs its entry points; all else stays with
the agent: state, limits, probes, processes, the history. So what hangs or crashes there costs
its own resource only, and is ended and replaced.

`wire`     what the two say to each other, over a socket
`process`  the program of the process; it loads the plugin API and the one type
`proxy`    the Context that the instance gets there: it asks the agent
`link`     the agent's end: one process, from its start to its end
`points`   the entry points of the resource, as the agent calls them; processes come and go behind them
"""
