"""What is measured, and against whom. `make bench` runs all; each module is a command of its own.

    python -m benchmarks              everything, as one table
    python -m benchmarks.move         a group of four moves to the other node
    python -m benchmarks.failure      a process dies, until its resource is online again
    python -m benchmarks.cutoff       an agent is cut off, until its group is online elsewhere
    python -m benchmarks.screen       a commit, until it is in the page's DOM
    python -m benchmarks.probes       2,000 probes a second in one agent, and in a bare loop
    python -m benchmarks.rest         processor and memory of the whole demo at rest

Every one starts what it needs in a home of its own and stops it again.
"""
