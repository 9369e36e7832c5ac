"""Types that only watch: they are online while something that runs elsewhere, or under another
resource of the group, answers as it should."""

from monitoring.resource_dlls.probes.certificate import Certificate
from monitoring.resource_dlls.probes.dns_record import DNSRecord
from monitoring.resource_dlls.probes.http_endpoint import HTTPEndpoint
from monitoring.resource_dlls.probes.tcp_port import TCPPort

__all__ = ["Certificate", "DNSRecord", "HTTPEndpoint", "TCPPort"]
