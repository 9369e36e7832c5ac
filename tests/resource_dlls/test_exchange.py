"""A virtual server's mail: taken durably, kept over a failover, read by every protocol."""

from __future__ import annotations

import base64
import imaplib
import json
import poplib
import signal
import smtplib
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from os import kill
from pathlib import Path
from typing import Any

import pytest

from monitoring.resource_dlls.api import PropertyError, ResourceError
from monitoring.resource_dlls.registry import get
from tests.resource_dlls.context import call, free_address, wait_until
from tests.resource_dlls.servers import (
    ATTENDANT,
    HTTP,
    IMAP4,
    MTA,
    PASSWORD,
    POP3,
    ROUTING,
    SEARCH,
    SMTP,
    STORE,
    VirtualServer,
    blueprints,
)

Make = Callable[..., VirtualServer]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Make]:
    """Makes virtual servers on shared storage of the test's own; ends them after it."""
    made: list[VirtualServer] = []
    addresses: dict[str, str] = {}

    def make(*types: str, name: str = "EVS1", **where: Any) -> VirtualServer:
        address = addresses.setdefault(name, free_address())
        made.append(VirtualServer(tmp_path, address, types, name=name, **where))
        return made[-1]

    yield make
    for each in made:
        each.terminate()


def read_by_imap(server: VirtualServer, mailbox: str = "alice") -> list[bytes]:
    client: Any = imaplib.IMAP4(server.address, server.port(IMAP4), timeout=10)
    client.login(mailbox, PASSWORD)
    assert client.select("INBOX")[0] == "OK"
    _, (numbers,) = client.search(None, "ALL")
    mails = [client.fetch(number, "(RFC822)")[1][0][1] for number in numbers.split()]
    client.logout()
    return mails


def read_by_pop(server: VirtualServer, mailbox: str = "alice") -> list[bytes]:
    client = poplib.POP3(server.address, server.port(POP3), timeout=10)
    client.user(mailbox)
    client.pass_(PASSWORD)
    mails = [b"\r\n".join(client.retr(n + 1)[1]) + b"\r\n" for n in range(client.stat()[0])]
    client.quit()
    return mails


def page(server: VirtualServer, path: str, password: str = PASSWORD) -> str:
    request = urllib.request.Request(f"http://{server.address}:{server.port(HTTP)}{path}")
    login = base64.b64encode(f"alice:{password}".encode()).decode()
    request.add_header("Authorization", f"Basic {login}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def test_mail_sent_before_a_failover_is_read_after_it(server: Make) -> None:
    services = (STORE, SMTP, IMAP4, POP3)
    first = server(*services, node="NODE1", epoch=1).online()
    first.send("before the failover", body="A line.\n.\n..and a dot\n")
    first.terminate()  # NODE1 dies: nothing is given back in order
    second = server(*services, node="NODE2", epoch=2).online()
    (by_imap,) = read_by_imap(second)
    (by_pop,) = read_by_pop(second)
    assert b"Subject: before the failover\r\n" in by_imap
    assert by_imap == by_pop
    assert by_imap.startswith(b"Received: from ")
    assert b" ([127.0.0.1]) by EVS1 with ESMTP; " in by_imap.splitlines()[0]
    assert b"A line.\r\n.\r\n..and a dot\r\n" in by_imap
    assert {json.loads(line)["node"] for line in second.journal("store").splitlines()} == {"NODE1", "NODE2"}


def test_greetings_carry_the_network_name(server: Make) -> None:
    evs = server(STORE, SMTP, IMAP4, POP3).online()
    with smtplib.SMTP() as client:
        code, text = client.connect(evs.address, evs.port(SMTP))
        assert (code, text.startswith(b"EVS1 ESMTP")) == (220, True)
    assert b"EVS1" in imaplib.IMAP4(evs.address, evs.port(IMAP4), timeout=10).welcome
    assert poplib.POP3(evs.address, evs.port(POP3), timeout=10).welcome == b"+OK EVS1 POP3 ClusterWeb"
    for type_name in (ATTENDANT, STORE, SMTP, IMAP4, POP3):
        assert evs.is_alive(type_name)


def test_a_mail_to_several_mailboxes_is_in_all_of_them(server: Make) -> None:
    evs = server(STORE, SMTP, POP3).online()
    evs.send("for both", to=["alice@evs1.example", "bob@EVS1", "postmaster@evs1"])
    for mailbox in ("alice", "bob", "postmaster"):
        (mail,) = read_by_pop(evs, mailbox)
        assert b"Subject: for both" in mail


def test_without_a_store_nothing_is_acknowledged_and_smtp_is_not_healthy(server: Make) -> None:
    evs = server(STORE, SMTP).online()
    (pid,) = evs.contexts[STORE].pids()
    with smtplib.SMTP(evs.address, evs.port(SMTP), timeout=10) as client:
        client.ehlo()
        client.mail("bob@EVS1")
        client.rcpt("alice@EVS1")
        kill(pid, signal.SIGKILL)
        code, text = client.data(b"Subject: lost?\r\n\r\nNo.\r\n")
        assert (code, b"not stored" in text) == (451, True)
    with pytest.raises(smtplib.SMTPConnectError) as refused:
        evs.send("too late")
    assert refused.value.smtp_code == 421
    with pytest.raises(ResourceError, match="421 EVS1 the store is not available"):
        evs.is_alive(SMTP)
    with pytest.raises(ResourceError, match="exit code -9"):
        evs.is_alive(STORE)
    call(evs.resources[STORE].terminate)
    call(evs.resources[STORE].online)  # the same port, at once
    assert evs.is_alive(SMTP)
    evs.send("now it works")


def test_a_protocol_beside_the_store_is_healthy_without_it(server: Make) -> None:
    evs = server(SMTP, HTTP, tree="2003").online()
    assert evs.is_alive(SMTP)
    assert evs.is_alive(HTTP)


def test_a_store_that_was_fenced_serves_and_writes_nothing_more(server: Make, tmp_path: Path) -> None:
    old = server(STORE, SMTP, node="NODE1", epoch=1).online()
    (pid,) = old.contexts[STORE].pids()
    call(old.resources["Physical Disk"].terminate)  # the agent of NODE1 is dead, its store lives on
    new_owner = server(node="NODE2", epoch=2)
    call(new_owner.resources["Physical Disk"].online)
    with pytest.raises(smtplib.SMTPResponseException) as refused:
        old.send("split brain")
    assert refused.value.smtp_code in (421, 451)
    wait_until(lambda: pid not in old.contexts[STORE].pids())
    assert '"event": "fenced"' in old.journal("store")


@pytest.mark.parametrize(
    ("recipient", "code"), [("nobody@EVS1", 550), ("alice@elsewhere.example", 550), ("alice@EVS9", 550)]
)
def test_only_recipients_of_this_cluster_are_accepted(server: Make, recipient: str, code: int) -> None:
    evs = server(STORE, SMTP).online()
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        evs.send("spam", to=[recipient])
    assert refused.value.recipients[recipient][0] == code


def test_imap_keeps_flags_and_deletes_what_is_expunged(server: Make) -> None:
    evs = server(STORE, SMTP, IMAP4).online()
    for number in range(3):
        evs.send(f"number {number}")
    client: Any = imaplib.IMAP4(evs.address, evs.port(IMAP4), timeout=10)
    client.login("alice", PASSWORD)
    client.select()
    client.store("1", "+FLAGS", "(\\Seen \\Flagged)")
    client.store("1", "-FLAGS", "(\\Flagged)")
    client.store("2", "+FLAGS", "(\\Deleted)")
    assert client.expunge()[1] == [b"2"]
    client.append("INBOX", None, None, b"Subject: by hand\r\n\r\nText\r\n")
    assert client.select()[1] == [b"3"]
    subjects = [client.fetch(str(n), "(BODY[HEADER.FIELDS (SUBJECT)])")[1][0][1].strip() for n in (1, 2, 3)]
    assert subjects == [b"Subject: number 0", b"Subject: number 2", b"Subject: by hand"]
    assert b"\\Seen" in client.fetch("1", "(FLAGS)")[1][0]
    assert b"\\Flagged" not in client.fetch("1", "(FLAGS)")[1][0]
    assert [m.split()[0] for m in client.uid("search", "ALL")[1]] == [b"1"]
    client.logout()


def test_pop_deletes_on_quit(server: Make) -> None:
    evs = server(STORE, SMTP, POP3).online()
    evs.send("one")
    evs.send("two")
    client = poplib.POP3(evs.address, evs.port(POP3), timeout=10)
    client.user("alice")
    client.pass_(PASSWORD)
    client.dele(1)
    client.quit()
    (left,) = read_by_pop(evs)
    assert b"Subject: two" in left


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_wrong_password_opens_no_mailbox(server: Make, password: str) -> None:
    evs = server(STORE, IMAP4, POP3, HTTP).online()
    with pytest.raises(imaplib.IMAP4.error):
        imaplib.IMAP4(evs.address, evs.port(IMAP4), timeout=10).login("alice", password or '""')
    client = poplib.POP3(evs.address, evs.port(POP3), timeout=10)
    client.user("alice")
    with pytest.raises(poplib.error_proto):
        client.pass_(password)
    with pytest.raises(urllib.error.HTTPError) as refused:
        page(evs, "/", password)
    assert refused.value.code == 401


def test_the_page_lists_shows_and_searches_mail(server: Make) -> None:
    evs = server(STORE, SMTP, HTTP, SEARCH).online()
    evs.send("A <b>bold</b> plan", body="The password is swordfish.\n")
    evs.send("Lunch", body="At noon?\n")
    assert "A &lt;b&gt;bold&lt;/b&gt; plan" in page(evs, "/")
    assert "swordfish" in page(evs, "/1")
    wait_until(lambda: "plan" in page(evs, "/?q=swordfish"))
    assert "Lunch" not in page(evs, "/?q=swordfish")
    assert evs.is_alive(HTTP)
    assert evs.is_alive(SEARCH)
    with pytest.raises(urllib.error.HTTPError) as missing:
        page(evs, "/99")
    assert missing.value.code == 404


def test_mail_for_another_virtual_server_reaches_it_even_when_it_was_down(server: Make) -> None:
    first = server(STORE, SMTP, MTA, ROUTING).online()
    second = server(STORE, SMTP, POP3, name="EVS2", group_id=2, node="NODE2")
    call(second.resources["Network Name"].online)  # known, and not online yet
    call(second.resources["Network Name"].terminate)
    first.send("across", to=["alice@EVS2", "alice@EVS1"])
    assert first.is_alive(MTA)
    assert first.is_alive(ROUTING)
    wait_until(lambda: '"hand over"' in first.journal("routing"))
    second.online()
    wait_until(lambda: b"Subject: across" in b"".join(read_by_pop(second)), seconds=20)


def test_mail_that_the_other_server_refuses_comes_back_to_its_sender(server: Make) -> None:
    first = server(STORE, SMTP, POP3, MTA, ROUTING).online()
    server(STORE, SMTP, name="EVS2", group_id=2, node="NODE2").online()
    first.send("for nobody", to=["nobody@EVS2"])
    wait_until(lambda: b"nobody@EVS2 was not delivered" in b"".join(read_by_pop(first, "bob")), seconds=20)


def test_a_port_in_use_is_told_in_the_services_own_words(server: Make) -> None:
    evs = server(STORE, SMTP).online()
    other = server(STORE, SMTP, node="NODE2", epoch=1)
    with pytest.raises(ResourceError, match="Address already in use") as refused:
        call(other.resources[SMTP].online)
    assert refused.value.code == 2065
    assert evs.is_alive(SMTP)


def test_services_stop_at_once(server: Make) -> None:
    evs = server(STORE, SMTP, IMAP4, POP3, HTTP).online()
    started = time.monotonic()
    call(evs.resources[SMTP].offline)
    assert time.monotonic() - started < 1.0
    evs.offline()
    assert not any(context.pids() for context in evs.contexts.values())
    for service in ("store", "smtp", "imap", "pop", "web", "attendant"):
        events = [json.loads(line)["event"] for line in evs.journal(service).splitlines()]
        assert (events[0], events[-1]) == ("start", "stop")


def test_nobody_without_the_token_calls_the_store(server: Make) -> None:
    evs = server(STORE).online()
    request = urllib.request.Request(f"http://{evs.address}:{evs.port(STORE)}/calls", data=b"<methodCall/>")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 401


def test_the_trees_of_2000_and_2003() -> None:
    tree = {part.type_name: part.requires for part in blueprints()}
    assert set(tree) == {STORE, SMTP, HTTP, IMAP4, POP3, SEARCH, MTA, ROUTING}
    assert all(tree[protocol] == (STORE,) for protocol in (SMTP, HTTP, IMAP4, POP3, SEARCH))
    later = {part.type_name: part.requires for part in blueprints(Tree="2003")}
    assert set(later) == {STORE, SMTP, HTTP, SEARCH, MTA, ROUTING}
    assert later[SMTP] == later[HTTP] == (ATTENDANT,)
    with pytest.raises(PropertyError, match="Tree: '2010' is none of 2000, 2003"):
        blueprints(Tree="2010")


@pytest.mark.parametrize("names", ["alice, b b", "al/ice", "älice"])
def test_a_mailbox_needs_a_plain_name(names: str) -> None:
    with pytest.raises(PropertyError) as refused:
        get(STORE).clean({"Mailboxes": names})
    assert refused.value.field == "Mailboxes"


def imap_client(server: VirtualServer, mailbox: str = "alice") -> Any:
    client: Any = imaplib.IMAP4(server.address, server.port(IMAP4), timeout=10)
    client.login(mailbox, PASSWORD)
    client.select()
    return client


def test_imap_tells_of_mail_that_arrives_while_a_client_waits(server: Make) -> None:
    evs = server(STORE, SMTP, IMAP4).online()
    client = imap_client(evs)
    assert client.search(None, "ALL")[1] == [b""]
    assert client.list()[1] == [b'(\\Noinferiors) "/" "INBOX"']
    evs.send("first")
    client.noop()
    assert client.response("EXISTS")[1][-1] == b"1"
    client.send(b"W1 IDLE\r\n")
    assert client.readline().startswith(b"+")
    evs.send("second")
    assert client.readline() == b"* 2 EXISTS\r\n"
    client.send(b"DONE\r\n")
    assert client.readline() == b"W1 OK IDLE terminated\r\n"
    assert client.search(None, "SUBJECT", "second")[1] == [b"2"]


def test_imap_marks_as_seen_what_is_read_and_not_what_is_peeked_at(server: Make) -> None:
    evs = server(STORE, SMTP, IMAP4).online()
    for number in range(7):
        evs.send(f"number {number}", body="x" * number)
    client = imap_client(evs)
    client.fetch("1:2", "(BODY.PEEK[] BODYSTRUCTURE)")
    assert client.search(None, "SEEN")[1] == [b""]
    assert b"\\Seen" in client.fetch("3", "(FLAGS BODY[TEXT])")[1][0][0] + client.fetch("3", "(FLAGS)")[1][0]
    assert client.search(None, "UNSEEN")[1] == [b"1 2 4 5 6 7"]
    assert client.uid("search", None, "NOT", "SUBJECT", "4", "UNSEEN")[1] == [b"1 2 4 6 7"]
    sizes = client.fetch("1:*", "(RFC822.SIZE UID)")[1]
    assert len(set(sizes)) == len(sizes) == 7
    client.select(readonly=True)
    client.fetch("1", "(RFC822)")
    assert client.search(None, "SEEN")[1] == [b"3"]
