"""systemd over D-Bus: one connection a process, shared by all units that somebody looks after.

The connection is made when first needed, and again where it broke; whoever watches a unit hears
its state anew then. What is asked is bounded in time. The address of the bus is the system bus's,
or what DBUS_SYSTEM_BUS_ADDRESS says.

Source: org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from monitoring.resource_dlls.api import ResourceError

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus
    from dbus_fast.message import Message

logger = logging.getLogger(__name__)

NAME = "org.freedesktop.systemd1"
PATH = "/org/freedesktop/systemd1"
MANAGER = f"{NAME}.Manager"
UNIT = f"{NAME}.Unit"
SERVICE = f"{NAME}.Service"
PROPERTIES = "org.freedesktop.DBus.Properties"
BUS_NAME, BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
NO_SUCH_UNIT = f"{NAME}.NoSuchUnit"
GONE = frozenset({"org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"})

STOPPING = "deactivating"

ANSWER_LIMIT = 25.0
"""Seconds that systemd has to answer; it answers nothing while it reads its unit files anew."""
CONNECT_LIMIT = 5.0
RECONNECT = (0.2, 1.0, 5.0)
"""Seconds between tries to connect again; the last one repeats."""
JOBS_KEPT = 200
"""Results of jobs that are remembered for who asks a moment later."""

Changed = Mapping[str, Any]
Listener = Callable[[Changed], None]


class ManagerError(ResourceError):
    """systemd refused, or could not be asked. `name`: the D-Bus name of the error, empty for none."""

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class Manager:
    """The service manager of this machine. All methods are called on the loop that it was made on."""

    def __init__(self) -> None:
        self._bus: MessageBus | None = None
        self._connecting = asyncio.Lock()
        self._reloading = asyncio.Lock()
        self._reloads_begun = 0
        self._listeners: dict[str, list[Listener]] = defaultdict(list)
        self._jobs: dict[str, asyncio.Future[str]] = {}
        self._results: OrderedDict[str, str] = OrderedDict()
        self._watching: asyncio.Task[None] | None = None

    # What is asked

    async def load(self, unit: str) -> str:
        """The object path of a unit, which need not exist; `properties` tell whether it does."""
        return str(await self.call(PATH, MANAGER, "LoadUnit", "s", unit))

    async def properties(self, path: str, interface: str = UNIT) -> dict[str, Any]:
        """All properties of a unit, or of its part as a service."""
        found = await self.call(path, PROPERTIES, "GetAll", "s", interface)
        return {name: variant.value for name, variant in found.items()}

    async def property(self, path: str, name: str, interface: str = UNIT) -> Any:
        return (await self.call(path, PROPERTIES, "Get", "ss", interface, name)).value

    async def start(self, unit: str) -> str:
        """How the job ended: done, failed, dependency, timeout, canceled…"""
        return await self._job("StartUnit", unit, "replace")

    async def stop(self, unit: str, agent: str) -> str:
        """As `start`. Units stop after the node's agent: that waits for this one, so that while it stops
        this one cannot wait for it."""
        state = await self.property(await self.load(agent), "ActiveState")
        return await self._job("StopUnit", unit, "ignore-dependencies" if state == STOPPING else "replace")

    async def _job(self, method: str, unit: str, mode: str) -> str:
        path = str(await self.call(PATH, MANAGER, method, "ss", unit, mode))
        if (result := self._results.pop(path, None)) is not None:
            return result
        ended = self._jobs.setdefault(path, asyncio.get_running_loop().create_future())
        try:
            return await asyncio.shield(ended)
        finally:
            self._jobs.pop(path, None)

    async def reload(self) -> None:
        """Let systemd read its unit files as they are now. Who asks meanwhile shares the next time."""
        asked = self._reloads_begun
        async with self._reloading:
            if self._reloads_begun <= asked:
                self._reloads_begun += 1
                await self.call(PATH, MANAGER, "Reload")

    async def watch(self, path: str, listener: Listener) -> None:
        """Call `listener` with what changes of a unit, from now on; once, however often this is asked."""
        listening = self._listeners[path]
        if listener not in listening:
            listening.append(listener)
            if len(listening) == 1:
                await self._match("AddMatch", path)

    async def unwatch(self, path: str, listener: Listener) -> None:
        listening = self._listeners.get(path, [])
        if listener in listening:
            listening.remove(listener)
            if not listening:
                del self._listeners[path]
                if self._bus is not None:
                    await self._match("RemoveMatch", path)

    async def call(self, path: str, interface: str, member: str, signature: str = "", *body: Any) -> Any:
        """One method call of systemd: the first value of its answer, or a ManagerError."""
        bus = await self._connection()
        return await self._ask(bus, NAME, path, interface, member, signature, body)

    async def _match(self, method: str, path: str) -> None:
        rule = (
            f"type='signal',sender='{NAME}',interface='{PROPERTIES}',member='PropertiesChanged',path='{path}'"
        )
        await self._ask(await self._connection(), BUS_NAME, BUS_PATH, BUS_NAME, method, "s", (rule,))

    async def _ask(
        self,
        bus: MessageBus,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: tuple[Any, ...] = (),
    ) -> Any:
        from dbus_fast import Message, MessageType

        message = Message(
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
        )
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                answer = await bus.call(message)
        except TimeoutError:
            raise ManagerError(f"systemd did not answer {member} within {ANSWER_LIMIT:g} s") from None
        except (OSError, EOFError) as error:
            raise ManagerError(f"the connection to systemd broke: {error}") from error
        if answer.message_type is MessageType.ERROR:
            name = answer.error_name or ""
            said = answer.body[0] if answer.body else name
            if name in GONE:
                said = "systemd is not the service manager of this machine"
            raise ManagerError(str(said), name)
        return answer.body[0] if answer.body else None

    # The connection

    async def _connection(self) -> MessageBus:
        async with self._connecting:
            if self._bus is None or not self._bus.connected:
                self._bus = await self._connect()
                self._watching = asyncio.create_task(self._await_end(self._bus))
            return self._bus

    async def _connect(self) -> MessageBus:
        from dbus_fast import BusType
        from dbus_fast.aio import MessageBus
        from dbus_fast.errors import AuthError, DBusError, InvalidAddressError

        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        except (OSError, EOFError, TimeoutError, DBusError, AuthError, InvalidAddressError) as error:
            said = str(error) or f"no answer within {CONNECT_LIMIT:g} s"
            raise ManagerError(
                f"systemd cannot be reached over D-Bus ({said}): a Generic Service needs systemd and its"
                " message bus (package dbus) on the node"
            ) from error
        bus.add_message_handler(self._heard)
        rule = f"type='signal',sender='{NAME}',interface='{MANAGER}',member='JobRemoved'"
        await self._ask(bus, BUS_NAME, BUS_PATH, BUS_NAME, "AddMatch", "s", (rule,))
        await self._ask(bus, NAME, PATH, MANAGER, "Subscribe")
        return bus

    async def _await_end(self, bus: MessageBus) -> None:
        """A connection that breaks is made anew, and all who watch hear how things are."""
        try:
            await bus.wait_for_disconnect()
        except (OSError, EOFError) as error:
            logger.warning("the connection to systemd broke: %s", error)
        if self._bus is bus:
            self._bus = None
        for waiting in self._jobs.values():
            if not waiting.done():
                waiting.set_exception(ManagerError("the connection to systemd broke"))
        tries = 0
        while self._listeners:
            await asyncio.sleep(RECONNECT[min(tries, len(RECONNECT) - 1)])
            tries += 1
            try:
                await self._watch_again()
                return
            except ResourceError as error:
                logger.warning("%s", error)

    async def _watch_again(self) -> None:
        for path in list(self._listeners):
            await self._match("AddMatch", path)
            state = {"ActiveState": await self.property(path, "ActiveState")}
            for listener in list(self._listeners.get(path, ())):
                listener(state)

    def _heard(self, message: Message) -> None:
        """A signal: a job has ended, or something of a unit has changed."""
        if message.interface == MANAGER and message.member == "JobRemoved":
            _, path, _, result = message.body
            waiting = self._jobs.get(path)
            if waiting is None:
                self._results[path] = result
                if len(self._results) > JOBS_KEPT:
                    self._results.popitem(last=False)
            elif not waiting.done():
                waiting.set_result(result)
        elif message.interface == PROPERTIES and message.member == "PropertiesChanged":
            changed = {name: variant.value for name, variant in message.body[1].items()}
            for listener in list(self._listeners.get(message.path or "", ())):
                listener(changed)

    def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        if self._bus is not None:
            self._bus.disconnect()


_managers: dict[asyncio.AbstractEventLoop, Manager] = {}


def manager() -> Manager:
    """The manager of the running loop; a node's agent has one loop."""
    loop = asyncio.get_running_loop()
    if loop not in _managers:
        for closed in [other for other in _managers if other.is_closed()]:
            del _managers[closed]
        _managers[loop] = Manager()
    return _managers[loop]
