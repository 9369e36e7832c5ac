"""Who comes in: passwords and how often they may be tried, the tokens of programs.

caller.py    from where a request comes: address, known browser
throttle.py  attempts that failed, and how long the next has to wait
sign_in.py   a name and a password become a user
visits.py    the sessions of a user: listed and ended
tokens.py    a token becomes a user with the token's role
"""
