"""How the broker is reached, and what is taken from it: shared by the cluster service and the agents.

Whoever can write to the broker can put anything there. What is not one of our messages is
refused and counted; it ends no process.
"""
