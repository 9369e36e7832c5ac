"""HTTP Endpoint, TCP Port and Certificate against real servers on loopback."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from monitoring.resource_dlls.api import PropertyError, ResourceError
from monitoring.resource_dlls.registry import get
from tests.cluster.installation import free_port
from tests.resource_dlls.context import LocalContext, call, make, online
from tests.resource_dlls.endpoints import Site, make_certificate, scripted, web_server
from tests.resource_dlls.probing import (
    CERTIFICATE,
    HTTP,
    TCP,
    address,
    certificate,
    context,
    probe,
    refusal,
    site,
)

__all__ = ["address", "certificate", "context", "site"]


# HTTP Endpoint


def test_a_path_is_asked_at_the_groups_address(context: LocalContext, site: Site) -> None:
    with online(probe(HTTP, context, URL="/health?a=1", Port=site.port, Contains="is well")) as resource:
        assert call(resource.looks_alive)
        assert call(resource.is_alive)
        assert context.facts["Status"].text == "200"
        site.body = "all is lost"
        with pytest.raises(ResourceError, match="answers without the text 'is well'"):
            call(resource.is_alive)
    method, path, headers = site.seen[0]
    assert (method, path) == ("GET", "/health?a=1")
    assert headers["Host"] == f"{context.providers[0].properties['Address']}:{site.port}"


@pytest.mark.parametrize("chunked", [False, True])
def test_the_body_is_read_however_it_comes(context: LocalContext, site: Site, chunked: bool) -> None:
    site.chunked, site.body = chunked, "number 42\n"
    call(probe(HTTP, context, Port=site.port, Matches=r"(?m)^number \d+$").online)
    assert "nothing that matches" in refusal(probe(HTTP, context, Port=site.port, Matches="^well"))


def test_only_a_good_status_counts(context: LocalContext, site: Site) -> None:
    site.status = 404
    assert "answers with status 404, not 200-299" in refusal(probe(HTTP, context, Port=site.port))
    call(probe(HTTP, context, Port=site.port, Status="200, 400-499").online)


def test_a_slow_answer_is_a_warning_before_it_is_a_failure(context: LocalContext, site: Site) -> None:
    resource = probe(HTTP, context, Port=site.port, WarnLatency=400, MaxLatency=1000)
    call(resource.online)
    assert "Latency" not in context.facts
    site.delay = 0.5
    assert call(resource.is_alive)
    assert (context.facts["Latency"].text, context.facts["Latency"].level) == ("slower than 400 ms", 1)
    site.delay = 1.1
    with pytest.raises(ResourceError, match=r"took \d+ ms to answer, more than 1000 ms"):
        call(resource.is_alive)


def test_one_lost_answer_fails_nothing(context: LocalContext, site: Site) -> None:
    with online(make(HTTP, context, Port=site.port, Attempts=2)) as resource:
        site.first = [500]
        assert call(resource.is_alive)
    assert [s[0] for s in site.seen] == ["GET"] * 3


def test_online_waits_for_the_first_good_answer(context: LocalContext, site: Site) -> None:
    site.first = [503]
    call(probe(HTTP, context, Port=site.port, StartTimeout=10).online)
    assert len(site.seen) == 2


def test_redirects_are_judged_or_followed(context: LocalContext, site: Site, address: str) -> None:
    site.status, site.headers = 302, {"Location": "/moved"}
    assert "status 302" in refusal(probe(HTTP, context, Port=site.port))
    call(probe(HTTP, context, Port=site.port, Redirects="follow on this host").online)
    assert site.seen[-1][1] == "/moved"
    with web_server(address) as other:
        site.headers = {"Location": f"http://{address}:{other.port}/other"}
        assert "to another host" in refusal(
            probe(HTTP, context, Port=site.port, Redirects="follow on this host")
        )
        call(probe(HTTP, context, Port=site.port, Redirects="follow", Authorization="Bearer x").online)
        assert "Authorization" in site.seen[-1][2]
        assert "Authorization" not in other.seen[-1][2]
    site.headers = {"Location": "/again"}
    assert "more than 5 times" in refusal(probe(HTTP, context, Port=site.port, Redirects="follow"))


def test_method_and_headers_are_those_of_the_properties(context: LocalContext, site: Site) -> None:
    call(probe(HTTP, context, Port=site.port, Method="POST", Headers="Host: evs1 | X-Probe: a:b").online)
    method, _, headers = site.seen[-1]
    assert (method, headers["Host"], headers["X-Probe"], headers["Content-Length"]) == (
        "POST",
        "evs1",
        "a:b",
        "0",
    )


def test_https_trusts_only_whom_it_is_told_to(context: LocalContext, address: str, certificate: Path) -> None:
    with web_server(address, certificate) as site:
        secure = {"Port": site.port, "TLS": True}
        assert "its certificate is refused: self-signed" in refusal(probe(HTTP, context, **secure))
        call(probe(HTTP, context, **secure, CAFile=str(certificate)).online)
        call(probe(HTTP, context, **secure, VerifyTLS=False).online)
        named = {"URL": f"https://www.example.com:{site.port}/", "Address": address}
        call(probe(HTTP, context, **named, CAFile=str(certificate)).online)
        other = {"URL": f"https://www.example.org:{site.port}/", "Address": address}
        assert "Hostname mismatch" in refusal(probe(HTTP, context, **other, CAFile=str(certificate)))


def test_what_is_no_web_server_is_said(context: LocalContext, address: str) -> None:
    closed = free_port()
    assert "does not answer: Connect call failed" in refusal(probe(HTTP, context, Port=closed))
    with scripted(address, [(b"GET", b"SSH-2.0-x\r\n")]) as port:
        assert "does not speak HTTP" in refusal(probe(HTTP, context, Port=port))
    with scripted(address, [(b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")]) as port:
        assert "did not answer within 1 s" in refusal(probe(HTTP, context, Port=port, Timeout=1))


def test_slow_probes_do_not_wait_for_one_another(context: LocalContext, site: Site) -> None:
    resources = [probe(HTTP, context, Port=site.port) for _ in range(50)]
    site.delay = 0.3

    async def all_at_once() -> float:
        began = time.monotonic()
        await asyncio.gather(*(resource.online() for resource in resources))
        return time.monotonic() - began

    assert asyncio.run(all_at_once()) < 7  # one after the other it would be 15 s


def test_names_that_are_slow_to_resolve_keep_nobody_else_waiting(
    context: LocalContext, site: Site, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, released = socket.getaddrinfo, threading.Event()

    def resolve(host: str, *more: Any, **named: Any) -> Any:
        if host == "slow.example.com":
            released.wait(10)
        return asked(address, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    slow = [probe(HTTP, context, URL="http://slow.example.com/") for _ in range(40)]
    quick = probe(HTTP, context, URL=f"http://quick.example.com:{site.port}/")

    async def together() -> bool:
        waiting = [asyncio.ensure_future(each.online()) for each in slow]
        await asyncio.sleep(0.05)
        await quick.online()
        still = not any(each.done() for each in waiting)
        for each in waiting:
            each.cancel()
        return still

    assert asyncio.run(together())
    released.set()


def test_a_name_that_nobody_knows_is_said(context: LocalContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*asked: Any, **named: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)  # no name server is asked by a test
    said = refusal(probe(HTTP, context, URL="http://nobody.invalid/"))
    assert said == "nobody.invalid does not answer: Name or service not known"


@pytest.mark.parametrize(
    ("field", "properties"),
    [
        ("URL", {"URL": "ftp://example.com/"}),
        ("URL", {"URL": "https://user:word@example.com/"}),
        ("URL", {"URL": "/with a space"}),
        ("URL", {"URL": "http://example.com:99999/"}),
        ("Status", {"Status": "2xx"}),
        ("Matches", {"Matches": "("}),
        ("Headers", {"Headers": "no colon"}),
        ("Method", {"Method": "HEAD", "Contains": "x"}),
        ("Authorization", {"Authorization": "a\r\nb: c"}),
    ],
)
def test_settings_of_an_http_endpoint_that_cannot_be_are_refused(
    field: str, properties: dict[str, str]
) -> None:
    with pytest.raises(PropertyError) as refused:
        get(HTTP).clean(properties)
    assert refused.value.field == field


def test_without_an_address_it_says_what_to_do(tmp_path: Path) -> None:
    alone = LocalContext(tmp_path / "state", name="web")
    assert "let web depend on an IP Address" in refusal(probe(TCP, alone, Port=1))


# TCP Port


def test_a_port_is_online_while_it_takes_connections(context: LocalContext, address: str) -> None:
    with scripted(address, []) as port:
        resource = probe(TCP, context, Port=port)
        call(resource.online)
        assert call(resource.looks_alive) and call(resource.is_alive)
    with pytest.raises(ResourceError, match=f"port {port} takes no connection"):
        call(resource.is_alive)
    assert not call(resource.looks_alive)
    call(resource.offline)
    assert not call(resource.is_alive)


def test_what_is_sent_and_expected_is_compared(context: LocalContext, address: str) -> None:
    with scripted(address, [(b"\r\n", b"+PO"), (b"", b"NG\r\n")]) as port:
        call(probe(TCP, context, Port=port, Send=r"PING\r\n", Expect=r"+PONG\r\n").online)
        said = refusal(probe(TCP, context, Port=port, Send=r"PING\r\n", Expect="hello", Timeout=1))
        assert "said '+PONG\\r\\n', and not 'hello'" in said


def test_a_port_may_speak_tls(context: LocalContext, address: str, certificate: Path) -> None:
    with web_server(address, certificate) as site:
        secure = {"Port": site.port, "TLS": True, "CAFile": str(certificate)}
        request = {"Send": r"GET / HTTP/1.0\r\n\r\n", "Expect": "200 OK"}
        call(probe(TCP, context, **secure, **request).online)
        call(probe(TCP, context, **secure, ServerName="www.example.com").online)
        assert "Hostname mismatch" in refusal(probe(TCP, context, **secure, ServerName="www.example.org"))


def test_an_unknown_escape_is_refused() -> None:
    with pytest.raises(PropertyError, match=r"Send: \\q means nothing here"):
        get(TCP).clean({"Port": 1, "Send": r"\q"})


# Certificate


def test_a_certificate_warns_before_it_fails(context: LocalContext, tmp_path: Path, address: str) -> None:
    path = make_certificate(tmp_path, address, days=10)
    call(probe(CERTIFICATE, context, File=str(path), WarnDays=9).online)
    assert context.facts["Certificate"].level == 0
    call(probe(CERTIFICATE, context, File=str(path), WarnDays=21).online)
    assert context.facts["Certificate"].level == 1
    assert context.facts["Certificate"].text.startswith("valid until 20")
    assert "only, 10 days" in refusal(probe(CERTIFICATE, context, File=str(path), FailDays=14))
    ended = make_certificate(tmp_path, address, days=-1)
    assert "has ended on" in refusal(probe(CERTIFICATE, context, File=str(ended)))


def test_the_first_certificate_that_ends_counts(context: LocalContext, tmp_path: Path, address: str) -> None:
    chain = tmp_path / "chain.pem"
    parts = [make_certificate(tmp_path, address, days=days).read_text() for days in (100, 10)]
    chain.write_text("".join(parts))
    call(probe(CERTIFICATE, context, File=str(chain)).online)
    assert context.facts["Certificate"].level == 1


def test_a_file_that_is_no_certificate_is_said(context: LocalContext, tmp_path: Path) -> None:
    missing = probe(CERTIFICATE, context, File=str(tmp_path / "none.pem"))
    assert "none.pem cannot be read: No such file" in refusal(missing)
    (tmp_path / "text.pem").write_text("hello")
    assert "holds no certificate" in refusal(probe(CERTIFICATE, context, File=str(tmp_path / "text.pem")))


def test_a_file_that_hangs_keeps_only_its_own_resource_waiting(context: LocalContext, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hangs.pem")
    hanging = probe(CERTIFICATE, context, File=str(tmp_path / "hangs.pem"), Timeout=1)
    assert "did not answer within 1 s" in refusal(hanging)
    (tmp_path / "hangs.pem").open("w").close()  # the thread that waits for it ends


DIALOGUES = {
    "smtp": [
        (b"", b"220-evs1\r\n220 ESMTP\r\n"),
        (b"EHLO", b"250-evs1\r\n250-STARTTLS\r\n250 HELP\r\n"),
        (b"STARTTLS\r\n", b"220 go ahead\r\n"),
    ],
    "imap": [(b"", b"* OK ready\r\n"), (b"a STARTTLS\r\n", b"* CAPABILITY X\r\na OK begin\r\n")],
    "pop3": [(b"", b"+OK ready\r\n"), (b"STLS\r\n", b"+OK begin\r\n")],
    "ftp": [(b"", b"220 ready\r\n"), (b"AUTH TLS\r\n", b"234 begin\r\n")],
    "postgresql": [(b"\x04\xd2\x16\x2f", b"S")],
    "none": [],
}


@pytest.mark.parametrize("protocol", DIALOGUES)
def test_the_certificate_of_a_server_is_seen_in_each_protocol(
    context: LocalContext, address: str, certificate: Path, protocol: str
) -> None:
    with scripted(address, DIALOGUES[protocol], certificate) as port:
        asked = {"Port": port, "StartTLS": protocol, "CAFile": str(certificate)}
        call(probe(CERTIFICATE, context, **asked).online)
        assert context.facts["Certificate"].level == 0
        wrong = probe(CERTIFICATE, context, **asked, ServerName="www.example.org")
        assert "Hostname mismatch" in refusal(wrong)


def test_a_server_without_tls_is_said(context: LocalContext, address: str) -> None:
    with scripted(
        address, [(b"", b"220 hi\r\n"), (b"EHLO", b"250 evs1\r\n"), (b"TLS", b"502 no\r\n")]
    ) as port:
        said = refusal(probe(CERTIFICATE, context, Port=port, StartTLS="smtp"))
    assert "does not offer TLS for smtp: it says '502 no'" in said


def test_the_warning_cannot_come_after_the_failure() -> None:
    with pytest.raises(PropertyError) as refused:
        get(CERTIFICATE).clean({"WarnDays": 3, "FailDays": 7})
    assert refused.value.field == "WarnDays"


def test_a_probe_goes_on_under_a_restarted_agent(context: LocalContext, site: Site) -> None:
    resource = probe(HTTP, context, Port=site.port)
    assert call(resource.adopt)
    assert call(resource.is_alive)
