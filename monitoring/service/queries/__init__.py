"""What pages, the API and the command line read: frozen values, filled from the database.

Each function costs the same number of queries however many groups, resources or nodes
there are; its docstring says how many. Nothing here changes or decides anything.
"""
