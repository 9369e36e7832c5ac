"""Servers for tests of probes: certificates, HTTP with and without TLS, servers that follow a script."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(folder: Path, address: str, days: float, name: str = "www.example.com") -> Path:
    """A certificate that signs itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names = [x509.DNSName(name), x509.IPAddress(ip_address(address))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"certificate-{days}.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


class Site:
    """What a web server answers: the test changes it while it runs."""

    def __init__(self) -> None:
        self.status = 200
        self.first: list[int] = []
        """Status of the next answers, before `status` holds."""
        self.body = "all is well"
        self.headers: dict[str, str] = {}
        self.delay = 0.0
        self.chunked = False
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and headers of each request."""
        self.port = 0


@contextmanager
def web_server(address: str, certificate: Path | None = None) -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.seen.append((self.command, self.path, dict(self.headers)))
            time.sleep(site.delay)
            body = site.body.encode()
            is_moved = self.path != "/moved" and "Location" in site.headers
            status = site.first.pop(0) if site.first else site.status
            self.send_response(status if not site.headers or is_moved else 200)
            for name, value in site.headers.items() if is_moved else ():
                self.send_header(name, value)
            if site.chunked:
                self.send_header("Transfer-Encoding", "chunked")
                half = len(body) // 2
                parts = [body[:half], body[half:], b""]
                body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
            else:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_POST = do_OPTIONS = do_GET

        def log_message(self, *args: object) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that refuses the certificate hangs up."""

    server = Server((address, 0), Handler)
    if certificate is not None:
        server.socket = server_context(certificate).wrap_socket(server.socket, server_side=True)
    site.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def scripted(
    address: str, script: Sequence[tuple[bytes, bytes]], certificate: Path | None = None
) -> Iterator[int]:
    """A server that waits for each line and answers it, then speaks TLS; gives its port."""

    def play(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(5)
            for wanted, answer in script:
                got = b""
                while wanted not in got:
                    if not (more := client.recv(4096)):
                        return
                    got += more
                client.sendall(answer)
            if certificate is not None:
                with server_context(certificate).wrap_socket(client, server_side=True) as secure:
                    secure.recv(1)
            else:
                client.recv(1)

    with _listening(address, play) as port:
        yield port


@contextmanager
def _listening(address: str, play: Callable[[socket.socket], None]) -> Iterator[int]:
    listening = socket.create_server((address, 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=play, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
