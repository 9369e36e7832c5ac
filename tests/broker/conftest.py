"""The agents' own fixtures, for tests of how they reach the broker."""

from tests.node.conftest import start_agent

__all__ = ["start_agent"]
