"""Plays the agent in a namespace: makes resources and calls their entry points, as JSON lines tell it."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import Provider, ResourceDLL, ResourceError
from monitoring.resource_dlls.ip_address import neighbours
from tests.resource_dlls.context import LocalContext, call, make


class Context(LocalContext):
    """Remembers when it was told of a failure."""

    def failed(self, reason: str) -> None:
        self.failed_at = time.monotonic()
        super().failed(reason)


class Play:
    def __init__(self) -> None:
        self.contexts: dict[str, Context] = {}
        self.resources: dict[str, ResourceDLL] = {}

    def make(self, key: str, type_name: str, context: dict[str, Any], properties: dict[str, Any]) -> None:
        self.resources[key] = make(type_name, self._context(key, context), **properties)

    def find(self, key: str, type_name: str, context: dict[str, Any], properties: dict[str, Any]) -> None:
        dll = registry.get(type_name)
        self.resources[key] = dll(self._context(key, context), dll.clean(properties))

    def _context(self, key: str, described: dict[str, Any]) -> Context:
        providers = [Provider(*each) for each in described.pop("providers", ())]
        state_dir = Path(described.pop("state_dir"))
        self.contexts[key] = Context(state_dir, providers=providers, **described)
        return self.contexts[key]

    def call(self, key: str, entry_point: str) -> Any:
        return call(getattr(self.resources[key], entry_point))

    def failures(self, key: str) -> list[str]:
        return self.contexts[key].failures

    def wait_failed(self, key: str, seconds: float) -> tuple[str, float]:
        deadline = time.monotonic() + seconds
        while not self.contexts[key].failures:
            if time.monotonic() > deadline:
                raise ResourceError(f"no failure within {seconds} s")
            time.sleep(0.002)
        return self.contexts[key].failures[0], self.contexts[key].failed_at

    def reaches(self, address: str) -> bool:
        """Whether a machine with that address answers, which it does by refusing the connection."""
        try:
            socket.create_connection((address, 9), timeout=2).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return True

    def resolve_local(self, name: str) -> list[str]:
        """The addresses of NAME.local, as another program of this machine finds them, asked anew."""
        from zeroconf import AddressResolver, IPVersion, Zeroconf  # type: ignore[attr-defined]

        with Zeroconf(ip_version=IPVersion.All) as client:
            resolver = AddressResolver(f"{name.lower()}.local.")
            resolver.request(client, 800)
            return sorted(resolver.parsed_addresses())

    def remember_local(self, name: str) -> list[str]:
        """As `resolve_local`, by a program that goes on and remembers what it has heard."""
        from zeroconf import AddressResolver, IPVersion, Zeroconf  # type: ignore[attr-defined]

        self.client = Zeroconf(ip_version=IPVersion.All)
        resolver = AddressResolver(f"{name.lower()}.local.")
        resolver.request(self.client, 800)
        return sorted(resolver.parsed_addresses())

    def remembers_local(self, name: str) -> bool:
        from zeroconf import AddressResolver  # type: ignore[attr-defined]

        return bool(AddressResolver(f"{name.lower()}.local.").load_from_cache(self.client))

    def answer_for(self, key: str) -> None:
        """Make a name known without asking whether another has it."""
        from monitoring.resource_dlls.network_name.multicast import OnLocalNetwork

        dll: Any = self.resources[key]
        way = OnLocalNetwork(lambda text, level: None)
        way.adopt(dll._own_record())
        dll._known.append(way)

    def hear_little(self) -> None:
        """From now on the kernel can tell of a few changes only before it leaves some out."""
        from monitoring.resource_dlls.ip_address import watcher

        watcher.BUFFER = 4096

    def threads(self) -> int:
        return threading.active_count()

    def ask_nobody_before(self) -> None:
        """From now on addresses are taken unasked, so that the kernel has to find out."""
        ask, asked = neighbours.who_has, []

        def who_has(*words: Any, **more: Any) -> str | None:
            asked.append(words)
            return ask(*words, **more) if len(asked) > 1 else None

        vars(neighbours)["who_has"] = who_has

    def terminate_late(self, key: str) -> None:
        """Its next Online is interrupted after the address was announced, before it is watched."""
        from monitoring.resource_dlls.ip_address.placement import Placement

        announce = Placement.announce

        def then_terminate(placed: Placement, on: Any) -> bool:
            setattr(Placement, "announce", announce)  # noqa: B010
            call(self.resources[key].terminate)
            return announce(placed, on)

        setattr(Placement, "announce", then_terminate)  # noqa: B010

    def facts(self, key: str) -> dict[str, str]:
        return {name: fact.text for name, fact in self.contexts[key].facts.items()}


def main() -> None:
    play = Play()
    for line in sys.stdin:
        verb, *words = json.loads(line)
        try:
            answer = {"value": getattr(play, verb)(*words)}
        except ResourceError as error:
            answer = {"error": str(error), "code": error.code}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
