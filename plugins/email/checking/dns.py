"""Questions to the DNS, or to a zone file that stands for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import dns.exception
import dns.flags
import dns.name
import dns.rdata
import dns.rdatatype
import dns.resolver
import dns.zone
from dns.rdtypes.ANY.TXT import TXT

SECONDS = 5.0


class NoAnswer(Exception):
    """The DNS did not answer; the text says why."""


class Dns(Protocol):
    """Records of a name, each as text; none where there are none."""

    def records(self, name: str, kind: str) -> Sequence[str]:
        """Raises NoAnswer when nobody can tell."""


class LiveDns:
    """The real one, by the system's servers or by one that is named."""

    def __init__(self, server: str | None = None) -> None:
        self._resolver = dns.resolver.Resolver(configure=server is None)
        if server is not None:
            self._resolver.nameservers = [server]
        self._resolver.lifetime = SECONDS

    def records(self, name: str, kind: str) -> Sequence[str]:
        try:
            answer = self._resolver.resolve(dns.name.from_text(name), kind)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError) as error:
            raise NoAnswer(f"{name} {kind}: {str(error) or type(error).__name__}") from None
        return [_shown(record) for record in answer]


class ZoneDns:
    """What a zone file says, with full names; nothing else exists."""

    def __init__(self, path: Path) -> None:
        self._zone = dns.zone.from_file(
            str(path), origin=dns.name.root, relativize=False, check_origin=False
        )

    def records(self, name: str, kind: str) -> Sequence[str]:
        asked = dns.name.from_text(name)
        for _ in range(10):
            node = self._zone.get_node(asked)
            if node is None:
                return []
            rdtype = dns.rdatatype.from_text(kind)
            for rdataset in node:
                if rdataset.rdtype == rdtype:
                    return [_shown(record) for record in rdataset]
            aliases = [one for one in node if one.rdtype == dns.rdatatype.CNAME]
            if not aliases:
                return []
            asked = aliases[0][0].target
        raise NoAnswer(f"{name}: names lead to each other without end")


def _shown(record: dns.rdata.Rdata) -> str:
    if isinstance(record, TXT):
        return b"".join(record.strings).decode("utf-8", "replace")
    return record.to_text().rstrip(".").lower()
