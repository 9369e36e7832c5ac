"""Static files, sent compressed to whoever takes that: a fifth of the bytes for the first page.

WhiteNoise sends `name.gz` where there is one beside a file. Here nobody has to make them: they are
made when the web process starts, under the home, and again only where a file has changed.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Any
from wsgiref.headers import Headers

from django.conf import settings
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

WORTH_IT = 600
"""Bytes; what is smaller fits a packet anyway."""
TEXTS = (".css", ".js", ".svg", ".json", ".txt")


class CompressedStaticFiles(WhiteNoiseMiddleware):
    """WhiteNoise with the compressed files in a folder of their own."""

    def get_static_file(self, path: str, url: str, stat_cache: Any = None) -> StaticFile:
        """WhiteNoise's own, but for where the compressed file lies."""
        headers = Headers([])
        self.add_mime_headers(headers, path, url)
        self.add_cache_headers(headers, path, url)
        packed = _compressed(path, Path(path).stat().st_mtime_ns, settings.HOME / "static")
        return StaticFile(path, headers.items(), encodings={} if packed is None else {"gzip": str(packed)})


@cache
def _compressed(path: str, changed: int, folder: Path) -> Path | None:
    return compressed(Path(path), folder)


def compressed(path: Path, folder: Path) -> Path | None:
    """The compressed twin of a text file, made where it is missing; None where it is not worth it."""
    if path.suffix not in TEXTS or path.stat().st_size < WORTH_IT:
        return None
    data = path.read_bytes()
    twin = folder / f"{hashlib.sha256(data).hexdigest()[:32]}.gz"
    try:
        if not twin.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = twin.with_suffix(f".{os.getpid()}")
            fresh.write_bytes(gzip.compress(data, 9, mtime=0))
            fresh.replace(twin)
    except OSError:  # a home that cannot be written: the file itself is sent
        return None
    return twin
