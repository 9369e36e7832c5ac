"""The REST API of the two dashboards, asked as a client asks: one, and where it fails the other."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import Any

PATIENCE = 8.0


class Rest:
    """`urls`: the dashboards. Every call may raise OSError."""

    def __init__(self, urls: list[str], user: str, password: str) -> None:
        self._urls = urls
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str) -> Any:
        """From whichever dashboard answers."""
        problem: OSError = OSError("no dashboard")
        for url in self._urls:
            try:
                return self._ask(url, path, None)
            except OSError as error:
                problem = error
        raise problem

    def post(self, dashboard: int, path: str, body: dict[str, Any]) -> Any:
        """To one dashboard only: what came of it is not known where it does not answer."""
        return self._ask(self._urls[dashboard], path, json.dumps(body).encode())

    def _ask(self, url: str, path: str, body: bytes | None) -> Any:
        request = urllib.request.Request(f"{url}/api/v1/{path}", data=body, headers=self._headers)
        try:
            with self._opener.open(request, timeout=PATIENCE) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise OSError(f"{path}: {error.code} {error.read()[:300].decode(errors='replace')}") from None
        except ValueError as error:
            raise OSError(f"{path}: {error}") from None
