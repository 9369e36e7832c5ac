"""The one setting that says where the broker is: what it may say, and what is told where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitoring.broker.address import AddressError, parse


def test_one_server_with_everything_that_a_url_may_say() -> None:
    found = parse({"CLUSTERWEB_REDIS_URL": "redis://me:w%40rd%2F1@[::1]:7000/3"})
    assert (found.hosts, found.db, found.user, found.password) == ((("::1", 7000),), 3, "me", "w@rd/1")
    assert found.kombu_url == "redis://me:w%40rd%2F1@[::1]:7000/3"
    assert found.layer == {"address": found.kombu_url}
    assert found.tls is None


def test_nothing_said_is_the_server_beside() -> None:
    assert parse({}).kombu_url == "redis://127.0.0.1:6379/0"


def test_sentinels_watch_servers_under_a_name_and_have_a_password_of_their_own(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    url = "sentinels://:w%40rd@a;b:7000,c/mymaster/2?sentinel_password=p%23"
    found = parse({"CLUSTERWEB_REDIS_URL": url, "CLUSTERWEB_REDIS_CA_FILE": str(ca)})
    assert found.hosts == (("a", 26379), ("b", 7000), ("c", 26379))
    assert (found.master, found.db, found.password, found.sentinel_password) == ("mymaster", 2, "w@rd", "p#")
    assert found.kombu_url.split(";")[1] == "sentinel://:w%40rd@b:7000/2"
    assert found.transport_options["sentinel_kwargs"]["ssl_ca_certs"] == str(ca)
    assert found.layer["password"] == "w@rd"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://host", "no redis, rediss, sentinel or sentinels address"),
        ("redis://", "no redis"),
        ("redis://host:port", "ort"),
        ("redis://host/zero", "zero is no number of a database"),
        ("redis://a;b/0", "Sentinels"),
        ("sentinel://a;b", "the name of the master is missing"),
        ("sentinel://a;b/0", "the name of the master is missing"),
        ("sentinel://a/m?password=secret-word", "password is not known here"),
        ("sentinel://;/m", "no host is named"),
    ],
)
def test_what_cannot_be_used_is_said_without_the_password(url: str, words: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse({"CLUSTERWEB_REDIS_URL": url})
    assert str(caught.value).startswith("CLUSTERWEB_REDIS_URL: ")
    assert words in str(caught.value)
    assert "secret-word" not in str(caught.value)


def test_files_of_tls_are_looked_at_before_they_are_needed(tmp_path: Path) -> None:
    environ = {"CLUSTERWEB_REDIS_URL": "rediss://host", "CLUSTERWEB_REDIS_CA_FILE": str(tmp_path / "none")}
    with pytest.raises(AddressError, match="CLUSTERWEB_REDIS_CA_FILE: .* cannot be read"):
        parse(environ)
    key = tmp_path / "key"
    key.touch()
    with pytest.raises(AddressError, match="CLUSTERWEB_REDIS_CERT_FILE is not set"):
        parse({"CLUSTERWEB_REDIS_URL": "rediss://host", "CLUSTERWEB_REDIS_KEY_FILE": str(key)})


def test_no_password_is_in_its_representation() -> None:
    found = parse(
        {"CLUSTERWEB_REDIS_URL": "sentinel://u1:word1@a/m?sentinel_user=u2&sentinel_password=word2"}
    )
    assert not any(word in repr(found) for word in ("word1", "word2"))
