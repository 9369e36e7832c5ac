"""HTTP by nginx: pages from the group's disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Property, PropertyError
from monitoring.resource_dlls.exchange.daemons import certificate, place, probes
from monitoring.resource_dlls.exchange.daemons.base import EncryptedDaemon, port
from monitoring.resource_dlls.exchange.daemons.probes import NONE, TLS, Door

WELCOME = "<!doctype html>\n<title>{name}</title>\n<p>This is {name}.</p>\n"
_CONFIGURATION = """\
# Written at each start of {name} by ClusterWeb; changes are lost.
daemon off;
user {user};
worker_processes auto;
pid {run}/nginx.pid;
error_log stderr;
events {{ }}
http {{
  {types}
  default_type application/octet-stream;
  access_log off;
  server_tokens off;
  sendfile on;
  client_body_temp_path {run}/body;
  proxy_temp_path {run}/proxy;
  fastcgi_temp_path {run}/fastcgi;
  uwsgi_temp_path {run}/uwsgi;
  scgi_temp_path {run}/scgi;
  server {{
    listen {address}:{port};
    {plain}
  }}
{encrypted}
}}
"""
_ENCRYPTED = """\
  server {{
    listen {address}:{tls_port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    root {root};
  }}"""
TYPES = Path("/etc/nginx/mime.types")


class NginxHTTP(EncryptedDaemon):
    type_name = "Exchange HTTP Virtual Server (nginx)"
    description = "Serves web pages from the group's disk, by nginx."
    icon = "globe"
    notice = "Needs nginx on each node (its own service disabled), and an agent that runs as root."
    part = "http"
    program = package = "nginx"
    takes_passwords = False
    properties: ClassVar[tuple[Property, ...]] = (
        port("Port", 80, "HTTP"),
        port("TlsPort", 443, "HTTPS, where there is a certificate"),
        Property(
            "DocumentRoot",
            kind="path",
            placeholder="www on the group's disk",
            help="folder with the pages",
        ),
        Property(
            "Redirect",
            kind="bool",
            default=True,
            help="where there is a certificate, HTTP only says where HTTPS is",
        ),
        Property("User", default="www-data", help="the user of the operating system who reads the pages"),
        *certificate.PROPERTIES,
    )

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        super().check(values)
        if values["DocumentRoot"] and not place.is_plain(values["DocumentRoot"]):
            raise PropertyError("DocumentRoot", "letters, digits and / . + @ = - _ only")
        if not values["User"].replace("-", "_").isidentifier():
            raise PropertyError("User", f"{values['User']!r} is no name of a user")

    def prepare(self, executable: str) -> list[str]:
        root = Path(self["DocumentRoot"] or self.disk / "www")
        if not root.exists():
            root.mkdir(parents=True)
            root.chmod(0o755)
            (root / "index.html").write_text(WELCOME.format(name=self.network_name.upper()), encoding="utf-8")
            (root / "index.html").chmod(0o644)
        place.check_way(root / "index.html", self["User"])
        configuration = self.context.state_dir / "nginx.conf"
        place.write(configuration, self._configuration(root))
        return [executable, "-e", "stderr", "-c", str(configuration)]

    def _configuration(self, root: Path) -> str:
        pair = self.pair
        address = f"[{self.address}]" if ":" in self.address else self.address
        plain, encrypted = f"root {root};", ""
        if pair is not None:
            encrypted = _ENCRYPTED.format(
                address=address,
                tls_port=self["TlsPort"],
                certificate=pair.certificate,
                key=pair.key,
                root=root,
            )
            if self["Redirect"]:
                port_words = "" if self["TlsPort"] == 443 else f":{self['TlsPort']}"
                plain = f"return 301 https://$host{port_words}$request_uri;"
        return _CONFIGURATION.format(
            name=self.context.name,
            user=self["User"],
            run=self.run,
            types=f"include {TYPES};" if TYPES.exists() else "",
            address=address,
            port=self["Port"],
            plain=plain,
            encrypted=encrypted,
        )

    def doors(self) -> list[Door]:
        return [
            replace(door, encryption=NONE) if door.encryption != TLS else door for door in super().doors()
        ]

    async def converse(self, door: Door) -> bytes:
        return await probes.http(door, "/")
