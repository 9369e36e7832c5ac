"""Short ways to say what a test of the topology is about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from monitoring.core.states import ResourceState
from monitoring.models import Group, Resource
from monitoring.service import topology

BY = "alice"


@contextmanager
def refused(field: str, match: str = "") -> Iterator[None]:
    """Expect a refusal of exactly this field."""
    with pytest.raises(ValidationError) as caught:
        yield
    errors = caught.value.message_dict
    assert list(errors) == [field], errors
    assert re.search(match, errors[field][0]), errors


def app(group: Group, name: str, **more: Any) -> Resource:
    """A Generic Application, which needs nothing else."""
    more.setdefault("properties", {"CommandLine": "sleep 1000", "CurrentDirectory": "/"})
    return topology.create_resource(
        group.pk, "Generic Application", {"name": name, **more.pop("values", {})}, by=BY, **more
    )


def address(group: Group, value: str, name: str = "") -> Resource:
    properties = {"Address": value, "SubnetMask": "255.0.0.0"}
    return topology.create_resource(
        group.pk, "IP Address", {"name": name or f"{group} IP"}, properties=properties, by=BY
    )


def network_name(group: Group, value: str, name: str = "") -> Resource:
    return topology.create_resource(
        group.pk, "Network Name", {"name": name or f"{group} Name"}, properties={"Name": value}, by=BY
    )


def disk(group: Group, path: str, name: str = "") -> Resource:
    return topology.create_resource(
        group.pk, "Physical Disk", {"name": name or f"{group} Disk"}, properties={"Path": path}, by=BY
    )


def set_state(resource: Resource, state: ResourceState, running: bool = False) -> None:
    """As if its node had reported it."""
    Resource.objects.filter(pk=resource.pk).update(state=state, running=running)
