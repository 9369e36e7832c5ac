"""The command palette: what was typed ("move EVS1 to NODE2", "smtp", "go history") and what it may mean.

    match.py     how well a part of a name fits a name
    grammar.py   verb, object, "to", node: the ways to read what was typed
    things.py    what there is to be found: groups, nodes, resources; and what applies to each
    places.py    the pages
    suggest.py   all of it ranked, best first
    page.py      the page and the list in the dialog

All but things.py and page.py is pure. Nothing is done from here: an action leads to its confirmation.
"""
