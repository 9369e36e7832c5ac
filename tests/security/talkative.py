"""An ASGI application that says something long on a WebSocket, and then repeats what it hears."""

from __future__ import annotations

from typing import Any

LONG = 3_000_000


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "x" * LONG})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": f"heard {message['text']}"})
