"""Each role includes those before it; who was given none may do nothing."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.auth.models import Group as AuthGroup

from monitoring.models.roles import Role, grant, may_administer, may_operate, may_view, role_of

pytestmark = pytest.mark.django_db


def test_a_migrated_database_has_the_three_roles() -> None:
    assert set(AuthGroup.objects.values_list("name", flat=True)) == {"viewer", "operator", "administrator"}


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.VIEWER, (True, False, False)),
        (Role.OPERATOR, (True, True, False)),
        (Role.ADMINISTRATOR, (True, True, True)),
    ],
)
def test_each_role_includes_those_before_it(role: Role, may: tuple[bool, bool, bool]) -> None:
    user = User.objects.create_user("bob")
    grant(user, role)
    assert (may_view(user), may_operate(user), may_administer(user)) == may


def test_a_new_role_takes_the_place_of_the_old_one() -> None:
    user = User.objects.create_user("bob")
    grant(user, Role.ADMINISTRATOR)
    assert role_of(user) is Role.ADMINISTRATOR
    grant(user, Role.VIEWER)
    assert role_of(user) is Role.VIEWER
    assert role_of(User.objects.get(username="bob")) is Role.VIEWER


def test_strangers_and_closed_accounts_have_no_role() -> None:
    user = User.objects.create_user("bob", is_active=False)
    grant(user, Role.ADMINISTRATOR)
    assert not may_view(user)
    assert not may_view(AnonymousUser())
    assert not may_view(User.objects.create_user("newcomer"))


def test_a_superuser_is_an_administrator() -> None:
    assert role_of(User.objects.create_superuser("root")) is Role.ADMINISTRATOR
