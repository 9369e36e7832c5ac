"""Short ways to call the API and to read its answers."""

from __future__ import annotations

import json
from typing import Any

from django.test import Client

Response = Any
"""What the test client returns: a response with more on it than any class of Django's declares."""


def get(client: Client, path: str, status: int = 200) -> Any:
    """The answer to a GET, which has this status."""
    response = client.get(f"/api/v1/{path}")
    assert response.status_code == status, response.content
    return json.loads(response.content)


def post(client: Client, path: str, body: object = None, **more: Any) -> Response:
    """The response to a POST of `body` as JSON; without one the body is empty."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body)
    return client.post(f"/api/v1/{path}", data, "application/json", **more)


def problem(response: Response, status: int, field: str = "") -> str:
    """Check a problem document and return its sentence."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    document = json.loads(response.content)
    assert document["status"] == status
    assert document.get("field", "") == field
    return str(document["detail"])
