"""A node's new key: agreed upon by the node and the cluster service, and known to nobody who listens.

Each side sends a public value (X25519, RFC 7748) in messages that are signed with the present
key, so that a stranger cannot put in one of his own. The new key comes out of the shared secret
by HKDF-SHA256 (RFC 5869) with the present key as salt: who only listens does not learn it, even
where he knows the present key. The secrets come in as arguments: 32 random bytes, hexadecimal.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Public = Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{64})?\Z")]
"""A public value, hexadecimal; empty for none."""


class KeyExchangeError(ValueError):
    """The other side's public value cannot be used."""


def public_of(secret: str) -> str:
    """The public value that belongs to a secret."""
    public = X25519PrivateKey.from_private_bytes(bytes.fromhex(secret)).public_key()
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def agreed(secret: str, theirs: str, *, node: str, offer: str, answer: str, present: str) -> str:
    """The new key, the same on both sides; `offer` is the service's public value, `answer` the node's."""
    try:
        other = X25519PublicKey.from_public_bytes(bytes.fromhex(theirs))
        shared = X25519PrivateKey.from_private_bytes(bytes.fromhex(secret)).exchange(other)
    except ValueError as error:
        raise KeyExchangeError(f"rekey: {error}") from None
    info = f"clusterweb node key {node} {offer} {answer}".encode()
    return HKDF(algorithm=SHA256(), length=32, salt=present.encode(), info=info).derive(shared).hex()


def fingerprint(key: str) -> str:
    """What tells a key from others and does not give it away, e.g. "3f9a 01c2 77de b004"."""
    digest = hashlib.sha256(b"clusterweb fingerprint " + key.encode()).hexdigest()[:16]
    return " ".join(digest[at : at + 4] for at in range(0, 16, 4))
