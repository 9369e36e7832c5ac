"""A virtual server by Postfix, Dovecot and nginx: real servers, started and ended as a node does."""

from __future__ import annotations

import asyncio
import http.client
import imaplib
import os
import poplib
import re
import signal
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from monitoring.node import marks
from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import PropertyError, ResourceError
from monitoring.resource_dlls.exchange.daemons import certificate as certificates
from monitoring.resource_dlls.exchange.daemons import place, postfix
from tests.resource_dlls.context import LocalContext, call, free_address, wait_until
from tests.resource_dlls.mail_daemons import (
    HTTP,
    IMAP4,
    NEEDS,
    PASSWORD,
    POP3,
    SMTP,
    STORE,
    TYPES,
    Certificate,
    Daemons,
    can_run,
    left_running,
    make_certificate,
    open_folder,
)

pytestmark = pytest.mark.skipif(not can_run(), reason=NEEDS)
PROTOCOLS = (SMTP, IMAP4, POP3, HTTP)


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as made:
        yield made


@pytest.fixture
def server(folder: Path) -> Iterator[Daemons]:
    made = Daemons(folder, free_address())
    yield made
    made.terminate()
    wait_until(lambda: not left_running(folder))


@pytest.fixture
def certificate(folder: Path, server: Daemons) -> Certificate:
    return make_certificate(folder, server.address)


def imap(
    server: Daemons, client: ssl.SSLContext | None, mailbox: str = "alice", password: str = PASSWORD
) -> Any:
    talk: Any = imaplib.IMAP4(server.address, 143, timeout=10)
    if client is not None:
        talk.starttls(client)
    talk.login(mailbox, password)
    talk.select()
    return talk


def subjects(server: Daemons, client: ssl.SSLContext | None = None) -> list[str]:
    talk = imap(server, client)
    _, (numbers,) = talk.search(None, "ALL")
    mails = [talk.fetch(n, "(BODY[HEADER.FIELDS (SUBJECT)])")[1][0][1] for n in numbers.split()]
    talk.logout()
    return [mail.decode().removeprefix("Subject: ").strip() for mail in mails]


def inner(server: Daemons, type_name: str) -> int:
    """The server's first process, which the one that the node watches has started."""
    (pid,) = server.contexts[type_name].pids()
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def test_mail_is_sent_and_read_encrypted_on_every_port(server: Daemons, certificate: Certificate) -> None:
    server.online(*TYPES, **certificate.properties())
    assert call(server.resources[SMTP].looks_alive)
    assert server.contexts[SMTP].facts["Queue"].text == "empty"
    trusting = certificate.client()
    with smtplib.SMTP(server.address, 25, timeout=10) as client:  # another mail server
        client.starttls(context=trusting)
        client.sendmail("someone@example.org", ["alice@evs1"], "Subject: by 25\n\nHello\n")
    with smtplib.SMTP(server.address, 587, timeout=10) as client:  # a user
        client.starttls(context=trusting)
        client.login("bob", PASSWORD)
        client.sendmail("bob@evs1", ["Alice+lists@EVS1"], "Subject: by 587\n\nHello\n")
    with smtplib.SMTP_SSL(server.address, 465, timeout=10, context=trusting) as client:
        client.login("bob", PASSWORD)
        client.sendmail("bob@evs1", ["alice@evs1"], "Subject: by 465\n\nHello\n")
    wait_until(lambda: sorted(subjects(server, trusting)) == ["by 25", "by 465", "by 587"])
    with imaplib.IMAP4_SSL(server.address, 993, ssl_context=trusting, timeout=10) as talk:
        assert talk.login("alice", PASSWORD)[0] == "OK"
    pop = poplib.POP3_SSL(server.address, 995, context=trusting, timeout=10)
    pop.user("alice")
    pop.pass_(PASSWORD)
    assert pop.stat()[0] == 3
    pop.quit()
    page = http.client.HTTPSConnection(server.address, 443, context=trusting, timeout=10)
    page.request("GET", "/")
    assert b"This is EVS1." in page.getresponse().read()
    plain = http.client.HTTPConnection(server.address, 80, timeout=10)
    plain.request("GET", "/where?it=is")
    assert plain.getresponse().headers["Location"] == f"https://{server.address}/where?it=is"
    for type_name in TYPES:
        assert call(server.resources[type_name].is_alive)
        assert call(server.resources[type_name].looks_alive)
    assert all("Encryption" not in context.facts for context in server.contexts.values())


def test_a_disk_without_room_for_mail_is_a_warning_and_no_reason_to_fail_over(server: Daemons) -> None:
    server.online(STORE, SMTP)
    assert "Mail" not in server.contexts[SMTP].facts
    configuration = server.contexts[SMTP].state_dir / "postfix" / "main.cf"
    call(server.resources[SMTP].terminate)
    with pytest.MonkeyPatch.context() as full:
        full.setattr(postfix, "_MAIN", postfix._MAIN + f"queue_minfree = {1 << 50}\n")
        call(server.resources[SMTP].online)
    assert "queue_minfree" in configuration.read_text()
    assert call(server.resources[SMTP].is_alive)
    fact = server.contexts[SMTP].facts["Mail"]
    assert (fact.level, fact.text) == (1, "is refused: 452 4.3.1 Insufficient system storage")


def test_where_there_is_a_certificate_no_password_is_taken_unencrypted(
    server: Daemons, certificate: Certificate
) -> None:
    server.online(STORE, SMTP, IMAP4, POP3, **certificate.properties())
    with pytest.raises(imaplib.IMAP4.error, match="PRIVACYREQUIRED|disallowed"):
        imap(server, None)
    pop = poplib.POP3(server.address, 110, timeout=10)
    with pytest.raises(poplib.error_proto, match="disallowed"):
        pop.user("alice")
    with smtplib.SMTP(server.address, 25, timeout=10) as client:
        client.ehlo()
        assert not client.has_extn("auth")


def test_without_a_certificate_it_is_a_warning_that_passwords_can_be_read(server: Daemons) -> None:
    server.online(STORE, *PROTOCOLS)
    server.send("one")
    wait_until(lambda: subjects(server) == ["one"])
    for type_name in PROTOCOLS:
        takes_passwords = type_name != HTTP
        assert server.contexts[type_name].facts["Encryption"].level == takes_passwords


def test_it_takes_mail_for_its_mailboxes_only(server: Daemons) -> None:
    server.online(STORE, SMTP)
    for recipient, code in (("nobody@evs1", 550), ("alice@elsewhere.example", 554)):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            server.send("spam", to=recipient)
        assert refused.value.recipients[recipient][0] == code
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        server.send("no login", port=587)
    assert refused.value.recipients["alice@evs1"][0] == 554


def test_what_was_acknowledged_waits_on_the_disk_and_is_delivered_by_the_next_node(
    folder: Path, server: Daemons
) -> None:
    server.online(STORE, SMTP)
    call(server.resources[STORE].terminate)
    server.send("while the store is away")
    wait_until(lambda: "status=deferred" in server.contexts[SMTP].output())
    assert call(server.resources[SMTP].looks_alive)
    assert server.contexts[SMTP].facts["Queue"].text == "1 mail waits"
    os.kill(inner(server, SMTP), signal.SIGKILL)  # the node dies: nothing is tidied up
    wait_until(lambda: not left_running(folder))
    (server.disk / "postfix" / "pid" / "master.pid").write_text("1\n")
    following = Daemons(folder, server.address, node="NODE2")
    try:
        following.online(STORE, SMTP, IMAP4)
        wait_until(lambda: subjects(following) == ["while the store is away"])
    finally:
        following.terminate()


@pytest.mark.parametrize("whom", ["the first process", "the one that is watched", "all, by the guard"])
def test_when_one_dies_nothing_of_the_server_stays_and_it_can_start_again(
    server: Daemons, folder: Path, whom: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in marks.environment(str(folder), 7).items():
        monkeypatch.setenv(name, value)
    server.online(*TYPES)
    assert len(left_running(folder)) > 4 * len(TYPES)
    if whom == "all, by the guard":
        assert marks.end_marked(str(folder))
        runs = place.run_folder(server.contexts[STORE], "store").parent
        for type_name in TYPES:
            type(server.resources[type_name]).sweep(server.contexts[type_name].state_dir)
        assert not runs.exists()
    else:
        for type_name in TYPES:
            (watched,) = server.contexts[type_name].pids()
            os.kill(watched if "watched" in whom else inner(server, type_name), signal.SIGKILL)
    wait_until(lambda: not any(server.contexts[type_name].pids() for type_name in TYPES))
    if "watched" in whom:  # a node does so once it sees that; Postfix's first process lives on until then
        assert marks.end_marked(str(folder))
    wait_until(lambda: not left_running(folder))
    for type_name in TYPES:
        with pytest.raises(ResourceError, match="exit code"):
            call(server.resources[type_name].is_alive)
        assert not call(server.resources[type_name].looks_alive)
    server.online(*TYPES)
    server.send("again")
    wait_until(lambda: subjects(server) == ["again"])


def test_an_agent_that_restarts_takes_all_of_them_over(server: Daemons) -> None:
    server.online(*TYPES)
    for type_name in TYPES:
        before = server.contexts[type_name].pids()
        again = server.make(type_name)
        assert call(again.adopt)
        assert call(again.is_alive)
        assert server.contexts[type_name].pids() == before
        call(again.terminate)
        assert not call(again.is_alive)
        assert not call(server.make(type_name).adopt)
        call(again.online)  # what depends on it goes on


def test_a_key_of_another_certificate_is_refused_before_anything_starts(
    server: Daemons, folder: Path, certificate: Certificate
) -> None:
    other = make_certificate(folder, server.address, name="other")
    server.online(STORE)
    for type_name in PROTOCOLS:
        with pytest.raises(ResourceError, match=r"the key in .*other\.key does not belong"):
            server.online(type_name, CertificateFile=str(certificate.certificate), KeyFile=str(other.key))
        with pytest.raises(ResourceError, match=r"the file /not/there\.crt is not there"):
            server.online(type_name, CertificateFile="/not/there.crt")
        assert not server.contexts[type_name].pids()


def test_a_certificate_that_expires_is_a_warning_before_it_is_a_failure(
    server: Daemons, folder: Path
) -> None:
    server.online(STORE)
    for days, level, text in ((60.5, 0, "valid until "), (5.5, 1, ", in 5 days"), (-1, 1, "expired on ")):
        made = make_certificate(folder, server.address, days=days)
        for type_name in PROTOCOLS:
            server.online(type_name, **made.properties(ExpiryWarning=30))
            fact = server.contexts[type_name].facts["Certificate"]
            assert (fact.level, text in fact.text) == (level, True), fact
            call(server.resources[type_name].terminate)
    server.make(IMAP4, made.properties(FailWhenExpired=True))
    with pytest.MonkeyPatch.context() as patience:
        patience.setattr("monitoring.resource_dlls.exchange.daemons.base.SERVES_WITHIN_S", 0.5)
        with pytest.raises(ResourceError, match="the certificate expired on"):
            call(server.resources[IMAP4].online)


def test_a_renewed_certificate_is_presented_without_a_restart(server: Daemons, folder: Path) -> None:
    made = make_certificate(folder, server.address, days=10.5)
    server.online(STORE, *PROTOCOLS, **made.properties())
    before = {name: server.contexts[name].pids() for name in PROTOCOLS}
    (folder / "mail.crt").write_text("half a certificate")
    for type_name in PROTOCOLS:
        assert call(server.resources[type_name].looks_alive)
        assert "keeps the certificate that it has" in server.contexts[type_name].lines[-1][1]
        assert call(server.resources[type_name].is_alive)
    make_certificate(folder, server.address, days=100.5)
    for type_name in PROTOCOLS:
        assert call(server.resources[type_name].looks_alive)

    def is_new(type_name: str) -> bool:
        assert call(server.resources[type_name].is_alive)
        return server.contexts[type_name].facts["Certificate"].level == 0

    for type_name in PROTOCOLS:
        wait_until(lambda type_name=type_name: is_new(type_name))
    assert {name: server.contexts[name].pids() for name in PROTOCOLS} == before


def test_a_probe_that_cannot_log_in_says_so_and_keeps_its_password_to_itself(server: Daemons) -> None:
    server.online(STORE, SMTP, IMAP4, POP3)
    for part in ("store", "imap", "pop3"):
        place.write(place.run_folder(server.contexts[STORE], part) / "probe", "wrong-password")

    async def ask() -> list[Any]:  # at once, for a refusal takes its time
        asked = (server.resources[type_name].is_alive() for type_name in (SMTP, IMAP4, POP3))
        return await asyncio.gather(*asked, return_exceptions=True)

    for error in asyncio.run(ask()):
        assert isinstance(error, ResourceError)
        assert "refuses the login of clusterweb-probe" in str(error)
        assert "wrong-password" not in str(error)
    assert call(server.resources[IMAP4].looks_alive)


def test_a_store_whose_disk_is_gone_is_not_healthy(server: Daemons) -> None:
    server.online(STORE, IMAP4)
    (server.disk / "mail").rename(server.disk / "elsewhere")
    (server.disk / "mail").write_text("no folder")
    with pytest.raises(ResourceError, match="cannot open a mailbox|closed the connection|refuses the login"):
        call(server.resources[IMAP4].is_alive)


@pytest.mark.parametrize("type_name", PROTOCOLS)
def test_a_port_that_is_taken_is_named(server: Daemons, type_name: str) -> None:
    server.online(STORE)
    port = registry.get(type_name).clean({})["Port"]
    said = f"port {port} of {re.escape(server.address)} cannot be used: Address already in use"
    with socket.create_server((server.address, port)), pytest.raises(ResourceError, match=said):
        server.online(type_name)


def test_a_folder_that_the_mail_user_may_not_enter_is_named(server: Daemons, folder: Path) -> None:
    folder.chmod(0o700)
    with pytest.raises(ResourceError, match=f"the user mail may not enter {folder} .*chmod o\\+x {folder}"):
        server.online(STORE)


def test_without_root_it_is_said_what_is_missing(server: Daemons, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ResourceError, match="only be started by an agent that runs as root"):
        server.online(STORE)


def test_passwords_are_written_as_hashes_where_few_read_them(server: Daemons) -> None:
    given = {"Mailboxes": "alice, bob, carol", "Passwords": "alice:se:cret bob:{PLAIN}known"}
    call(server.make(STORE, {**given, "MailboxPassword": ""}).online)
    server.online(IMAP4)
    for mailbox, password in (("alice", "se:cret"), ("bob", "known")):
        imap(server, None, mailbox, password).logout()
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        imap(server, None, "carol", "*")  # who has none, and takes mail nevertheless
    run = place.run_folder(server.contexts[STORE], "store")
    for folder in (run, server.contexts[STORE].state_dir, server.contexts[IMAP4].state_dir):
        for path in folder.rglob("*"):
            assert not path.is_file() or "se:cret" not in path.read_text(errors="replace")
    assert (run / "passwd").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("type_name", "given", "field"),
    [
        (STORE, {"Mailboxes": "al/ice"}, "Mailboxes"),
        (STORE, {"Mailboxes": "clusterweb-probe"}, "Mailboxes"),
        (STORE, {"Mailboxes": "alice", "Passwords": "bob:secret"}, "Passwords"),
        (STORE, {"Mailboxes": "alice", "Passwords": "alice"}, "Passwords"),
        (STORE, {"MailUser": "root"}, "MailUser"),
        (SMTP, {"Domains": "example.org, a_b"}, "Domains"),
        (SMTP, {"HostName": "x\ny"}, "HostName"),
        (SMTP, {"RelayHost": "a b"}, "RelayHost"),
        (SMTP, {"TlsPort": 25}, "SubmissionPort"),
        (SMTP, {"CertificateFile": "/a b"}, "CertificateFile"),
        (IMAP4, {"KeyFile": "/a/key"}, "CertificateFile"),
        (POP3, {"KeyFile": "/a;b", "CertificateFile": "/a"}, "KeyFile"),
        (HTTP, {"DocumentRoot": "/a;b"}, "DocumentRoot"),
        (HTTP, {"User": "www data"}, "User"),
    ],
)
def test_what_no_configuration_could_hold_is_refused(
    type_name: str, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(PropertyError) as refused:
        registry.get(type_name).clean(given)
    assert refused.value.field == field


def test_two_virtual_servers_run_beside_each_other(server: Daemons, folder: Path) -> None:
    (folder / "second").mkdir()
    second = Daemons(folder / "second", free_address())
    try:
        server.online(*TYPES)
        second.online(*TYPES)
        server.send("to the first")
        second.send("to the second")
        wait_until(lambda: (subjects(server), subjects(second)) == (["to the first"], ["to the second"]))
        call(second.resources[STORE].offline)
        assert call(server.resources[STORE].is_alive)
    finally:
        second.terminate()


def test_they_serve_on_an_address_of_ipv6_and_on_ports_that_were_chosen(folder: Path) -> None:
    server = Daemons(folder, "::1")
    with ExitStack() as held:
        sockets = [
            held.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6)) for _ in range(5)
        ]
        smtp, submission, imap_port, pop3, web = (each.getsockname()[1] for each in sockets)
    try:
        server.online(STORE)
        server.online(SMTP, Port=smtp, SubmissionPort=submission)
        for type_name, port in ((IMAP4, imap_port), (POP3, pop3), (HTTP, web)):
            server.online(type_name, Port=port)
        server.send("over IPv6", port=smtp)
        with imaplib.IMAP4("::1", imap_port, timeout=10) as talk:
            talk.login("alice", PASSWORD)
            wait_until(lambda: talk.select()[1] == [b"1"])
    finally:
        server.terminate()


def test_they_stop_in_order_and_leave_no_secret_behind(server: Daemons) -> None:
    server.online(*TYPES)
    runs = place.run_folder(LocalContext(server.contexts[STORE].state_dir), "store").parent
    assert len(list(runs.iterdir())) == len(TYPES)
    for resource in reversed(server.resources.values()):
        call(resource.offline)
    assert not runs.exists()
    wait_until(lambda: not left_running(server.disk.parent))


@pytest.mark.parametrize("days", [1.0, 40.0 * 366])  # a year in two digits, and one in four (RFC 5280)
def test_the_end_of_a_certificate_is_read_to_the_second(folder: Path, days: float) -> None:
    from cryptography import x509

    made = make_certificate(folder, "127.0.0.1", days=days).certificate.read_bytes()
    known = x509.load_pem_x509_certificate(made).not_valid_after_utc
    assert certificates.valid_until(ssl.PEM_cert_to_DER_cert(made.decode())) == known
