"""One DNS question. The library is large: this module is imported when a name is first asked for."""

from __future__ import annotations

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype

from monitoring.resource_dlls.api import ResourceError


async def ask(server: str, port: int, name: str, kind: str, transport: str, seconds: float) -> list[str]:
    """What `server` says of a name, as text, sorted; ResourceError where it says that there is nothing.

    `server` is an address. `transport`: "udp", which goes on by TCP where an answer is cut, or "tcp".
    """
    question = dns.message.make_query(name, kind)
    try:
        if transport == "tcp":
            answer = await dns.asyncquery.tcp(question, server, timeout=seconds, port=port)
        else:
            answer, _ = await dns.asyncquery.udp_with_fallback(question, server, timeout=seconds, port=port)
    except dns.exception.Timeout:
        raise TimeoutError from None
    except dns.exception.DNSException as error:
        raise ResourceError(f"{server} does not answer with DNS: {error}") from error
    if answer.rcode() != dns.rcode.NOERROR:
        raise ResourceError(f"{server} says {dns.rcode.to_text(answer.rcode())} of {name}")
    wanted = dns.rdatatype.from_text(kind)
    return sorted(record.to_text() for found in answer.answer if found.rdtype == wanted for record in found)
