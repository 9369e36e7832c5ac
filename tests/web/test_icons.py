"""Every icon that a page names is in the sprite."""

from __future__ import annotations

import re

from django.conf import settings

from monitoring.core.states import GroupState, NodeState, ResourceState
from monitoring.resource_dlls import registry
from monitoring.templatetags.clusterweb import icon_of_type, looks, sprite
from monitoring.web import verbs


def test_icons_of_templates_are_in_the_sprite() -> None:
    named = {
        name
        for page in (settings.BASE_DIR / "templates").rglob("*.html")
        for name in re.findall(r'{% icon "([^"]+)"', page.read_text())
    }
    assert named - sprite() == set()


def test_icons_of_states_actions_and_built_in_types_are_in_the_sprite() -> None:
    states = {looks(state)[1] for kind in (ResourceState, GroupState, NodeState) for state in kind}
    actions = {verb.icon for known in (verbs.GROUP, verbs.NODE, verbs.RESOURCE) for verb in known.values()}
    types = {dll.icon for dll in registry.all_types().values() if dll.__module__.startswith("monitoring.")}
    assert (states | actions | types) - sprite() == set()


def test_a_type_that_is_not_installed_is_a_plain_box() -> None:
    assert icon_of_type("Quantum Entangler") == "box"
