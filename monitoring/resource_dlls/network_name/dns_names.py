"""What is said to a name server about a group's name: RFC 2136 updates, signed by TSIG (RFC 8945).

Beside the addresses of NAME.ZONE stands a TXT record, _clusterweb.NAME.ZONE, that says whose the name is:
which group, under which epoch. Every change has it as its condition, exactly as it was read (RFC 2136,
section 2.4): of two owners one changes what it knows, and the other is refused. A withdrawn name keeps the
record as a memory of the epoch.

The library is heavy: this module is imported where a name is first registered in this way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset
import dns.tsig
import dns.update
from dns.rdtypes.ANY.TXT import TXT

from monitoring.resource_dlls.network_name.names import NameRecord, NameTakenError, check_rank
from monitoring.resource_dlls.network_name.ways import WayError

TRIES = 2
QUERY_S = 1.0
"""A question is asked twice, each time with this much patience."""
UPDATE_S = 3.0
CHANGES = 3
"""How often a change is tried where others change the same name meanwhile."""
_MARK = "clusterweb"
_OWNER = dns.name.Name(("_clusterweb",))
_ADDRESSES = (dns.rdatatype.A, dns.rdatatype.AAAA)
_CHANGED = (dns.rcode.NXRRSET, dns.rcode.YXRRSET, dns.rcode.NXDOMAIN, dns.rcode.YXDOMAIN)


class SilentError(WayError):
    """The name server does not answer."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A name as one Online has registered it. `mark` tells it from an earlier one of the same owner."""

    record: NameRecord
    mark: str

    def text(self) -> TXT:
        record = self.record
        words = {
            "group": str(record.group_id),
            "epoch": str(record.epoch),
            "node": record.node,
            "state": "online" if record.addresses else "withdrawn",
            "mark": self.mark,
            "name": record.group,
        }
        strings = [_MARK, *(f"{key}={value}" for key, value in words.items())]
        packed = tuple(string.encode()[:255] for string in strings)
        return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, packed)

    @classmethod
    def read(cls, name: str, text: TXT) -> Entry:
        """The entry that the record of a name tells of; ValueError where it is none of ours."""
        first, *rest = (string.decode(errors="replace") for string in text.strings)
        words = dict(word.partition("=")[::2] for word in rest)
        if first != _MARK:
            raise ValueError(first)
        try:
            addresses = ("?",) if words["state"] == "online" else ()
            group, epoch = int(words["group"]), int(words["epoch"])
            record = NameRecord(name, addresses, group, words["name"], words["node"], epoch)
            return cls(record, words["mark"])
        except KeyError as error:
            raise ValueError(f"without {error}") from None


@dataclass(frozen=True, slots=True)
class Key:
    name: str
    algorithm: str
    secret: str = field(repr=False)


class NameServer:
    """One name server of the zone. Errors are WayError, SilentError where nothing is heard."""

    def __init__(self, host: str, port: int, zone: str, key: Key | None, ttl: int) -> None:
        self.host, self.port, self._ttl = host, port, ttl
        self.zone = dns.name.from_text(zone)
        self._key_name = key.name if key else ""
        self._key = dns.tsig.Key(key.name, key.secret, key.algorithm) if key else None

    def __str__(self) -> str:
        if self.port == 53:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def full(self, name: str) -> dns.name.Name:
        return dns.name.from_text(name.lower(), self.zone)

    # Questions

    def entry(self, name: str) -> Entry | None:
        """Who has registered the name here, None where nobody ever has."""
        owner = _OWNER + self.full(name)
        texts = [text for text in self._ask(owner, dns.rdatatype.TXT) if isinstance(text, TXT)]
        if not texts:
            return None
        try:
            (text,) = texts
            return Entry.read(name, text)
        except ValueError:
            raise NameTakenError(
                f"{self} has a record {owner} that is none of ClusterWeb's: remove it"
            ) from None

    def addresses(self, name: str) -> frozenset[str]:
        """Where the name leads, as this server says with authority."""
        full = self.full(name)
        return frozenset(str(rdata) for kind in _ADDRESSES for rdata in self._ask(full, kind))

    def _ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> list[dns.rdata.Rdata]:
        answer = self._query(name, kind)
        rrset = answer.get_rrset(dns.message.ANSWER, name, dns.rdataclass.IN, kind)
        return list(rrset or ())

    def _query(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.message.Message:
        """The answer of this server itself: it is not to ask others."""
        question = dns.message.make_query(name, kind)
        question.flags &= ~dns.flags.RD
        for attempt in range(1, TRIES + 1):
            try:
                answer, _ = dns.query.udp_with_fallback(
                    question,
                    self.host,
                    timeout=QUERY_S,
                    port=self.port,
                    ignore_unexpected=True,
                    ignore_errors=True,
                )
                break
            except (dns.exception.Timeout, OSError, dns.exception.DNSException) as error:
                if attempt == TRIES or not isinstance(error, dns.exception.Timeout):
                    raise self._unheard(error) from error
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise WayError(f"{self} says {dns.rcode.to_text(answer.rcode())} to a question for {name}")
        if not answer.flags & dns.flags.AA:
            raise WayError(
                f"{self} is no name server of the zone {self.zone}: it does not speak with authority"
            )
        return answer

    def _unheard(self, error: Exception) -> WayError:
        if isinstance(error, dns.exception.Timeout):
            return SilentError(f"{self} does not answer")
        if isinstance(error, OSError):
            return SilentError(f"{self} cannot be reached: {error.strerror or error}")
        if isinstance(error, dns.tsig.PeerError):
            what = type(error).__name__.removeprefix("Peer")
            return WayError(
                f"{self} refuses the key {self._key_name} ({what}): compare its name, algorithm,"
                " secret, and the clocks"
            )
        return WayError(f"{self} answers with what cannot be understood: {type(error).__name__}")

    # Changes

    def register(self, entry: Entry) -> None:
        """Make the name lead to the entry's addresses; NameTakenError where it is another's."""
        record = entry.record
        for _ in range(CHANGES):
            present = self.entry(record.name)
            self._check_free(present, entry)
            if self._change(present, entry):
                return
        raise WayError(f"{record.name} changes hands at {self} again and again")

    def _check_free(self, present: Entry | None, new: Entry) -> None:
        record = new.record
        if present is None:
            others = self.addresses(record.name) - set(record.addresses)
            if others:
                raise NameTakenError(
                    f"{self.full(record.name)} leads to {', '.join(sorted(others))} at {self}, which no group"
                    " has registered: remove these addresses"
                )
            return
        remove = f"the TXT record {_OWNER + self.full(record.name)}"
        check_rank(present.record, record, remove=remove, where=f"at {self} ")

    def withdraw(self, entry: Entry) -> bool:
        """Take the name back where it is still the entry's; False where it is not."""
        gone = replace(entry, record=replace(entry.record, addresses=()))
        return self._change(entry, gone)

    def _change(self, was: Entry | None, new: Entry) -> bool:
        """Write the new entry, if the old one is what is there; False where it is not."""
        full = self.full(new.record.name)
        owner = _OWNER + full
        update = dns.update.UpdateMessage(self.zone)
        if was is None:
            update.absent(owner, dns.rdatatype.TXT)
        else:
            update.present(owner, was.text())
        for kind in _ADDRESSES:
            update.delete(full, kind)
        for address in new.record.addresses:
            update.add(full, self._ttl, "AAAA" if ":" in address else "A", address)
        update.replace(owner, self._ttl, new.text())
        code = self._send(update, self.zone)
        if code in _CHANGED:
            return False
        self._check_code(code, self.zone)
        return True

    def _check_code(self, code: dns.rcode.Rcode, zone: dns.name.Name) -> None:
        if code == dns.rcode.NOERROR:
            return
        why = ""
        if code in (dns.rcode.REFUSED, dns.rcode.NOTAUTH):
            by = f"with the key {self._key_name}" if self._key else "without a key"
            why = f": it has to be a primary of it, and to allow updates {by}"
        raise WayError(f"{self} refuses to change the zone {zone} ({dns.rcode.to_text(code)}){why}")

    def _send(self, update: dns.update.UpdateMessage, zone: dns.name.Name) -> dns.rcode.Rcode:
        if self._key is not None:
            update.use_tsig(self._key)
        try:
            return dns.query.tcp(update, self.host, timeout=UPDATE_S, port=self.port).rcode()
        except (OSError, EOFError, dns.exception.DNSException) as error:
            raise self._unheard(error) from error

    # The way back, from addresses to the name

    def point_back(self, name: str, addresses: Iterable[str], *, away: bool = False) -> None:
        """Make the addresses lead to the name, or (`away`) no longer to it. The server has their zone."""
        full = self.full(name)
        for address in addresses:
            back = dns.reversename.from_address(address)
            zone = self._zone_of(back)
            update = dns.update.UpdateMessage(zone)
            if away:
                update.delete(back, "PTR", full.to_text())
            else:
                update.replace(back, self._ttl, "PTR", full.to_text())
            self._check_code(self._send(update, zone), zone)

    def points_back(self, name: str, addresses: Collection[str]) -> bool:
        wanted = self.full(name).to_text()
        return all(
            [str(rdata) for rdata in self._ask(dns.reversename.from_address(each), dns.rdatatype.PTR)]
            == [wanted]
            for each in addresses
        )

    def _zone_of(self, name: dns.name.Name) -> dns.name.Name:
        answer = self._query(name, dns.rdatatype.SOA)
        for rrset in (*answer.answer, *answer.authority):
            if rrset.rdtype == dns.rdatatype.SOA:
                return rrset.name
        raise WayError(f"{self} has no zone for {name}")
