"""SPF (RFC 7208): which servers may send for a domain, and how many questions that takes."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from plugins.email.checking.dns import Dns
from plugins.email.checking.findings import Finding, bad, good, warning

MOST_LOOKUPS = 10
MOST_EMPTY = 2
DEPTH = 20
ABOUT = "SPF"

Result = Literal["pass", "fail", "softfail", "neutral"]
_RESULTS: dict[str, Result] = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_TERM = re.compile(r"([+\-~?]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?::([^/]+|[^/]*:.*?))?(/.*)?",
                   re.I)  # fmt: skip
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(\S*)", re.I)


class Broken(Exception):
    """A record that receivers cannot evaluate (permerror)."""


@dataclass
class Evaluation:
    """What a record comes to; `lookups` are the questions that count, with their names."""

    lookups: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    last: Result | None = None
    uses_ptr: bool = False
    passes: bool | None = None


def record_of(dns: Dns, domain: str) -> str | None:
    """A domain's SPF record. Raises Broken when it has several."""
    found = [one for one in dns.records(domain, "TXT") if one.lower().split(" ")[0] == "v=spf1"]
    if len(found) > 1:
        raise Broken(f"{domain} has {len(found)} SPF records; only one is allowed")
    return found[0] if found else None


def mail_hosts(dns: Dns, domain: str) -> list[str]:
    """Who takes a domain's mail; an empty name stands for nobody."""
    return [one.partition(" ")[2].strip() for one in dns.records(domain, "MX")]


def evaluate(dns: Dns, domain: str, ip: str | None = None) -> Evaluation:
    """Walk the whole record, includes and all. Raises Broken, NoAnswer."""
    made = Evaluation()
    address = ipaddress.ip_address(ip) if ip else None
    result = _walk(dns, domain, address, made, 0)
    if address is not None:
        made.passes = result == "pass"
    return made


Address = ipaddress.IPv4Address | ipaddress.IPv6Address | None


def _walk(dns: Dns, domain: str, ip: Address, made: Evaluation, depth: int) -> Result | None:
    if depth > DEPTH:
        raise Broken(f"{domain}: records include each other without end")
    record = record_of(dns, domain)
    if record is None:
        if depth:
            raise Broken(f"it includes {domain}, which has no SPF record")
        return None
    redirect, found = None, None
    for term in record.split()[1:]:
        if (modifier := _MODIFIER.fullmatch(term)) is not None:
            redirect = modifier.group(2) if modifier.group(1).lower() == "redirect" else redirect
            continue
        parsed = _TERM.fullmatch(term)
        if parsed is None:
            raise Broken(f"{domain}: the term {term!r} cannot be read")
        sign, kind, value, mask = parsed.groups()
        result = _RESULTS[sign or "+"]
        if kind.lower() == "all":
            if depth == 0:
                made.last = result
            return found or result
        if _matches(dns, domain, kind.lower(), value, mask, ip, made, depth):
            found = found or result
    if redirect is not None:
        made.lookups.append(f"redirect={redirect}")
        _count(made)
        result_there = _walk(dns, redirect, ip, made, depth if depth == 0 else depth + 1)
        return found or result_there
    return found


def _matches(
    dns: Dns,
    domain: str,
    kind: str,
    value: str | None,
    mask: str | None,
    ip: Address,
    made: Evaluation,
    depth: int,
) -> bool:
    """Whether the server is meant by a mechanism; questions are counted in any case."""
    name = value or domain
    if kind in ("ip4", "ip6"):
        try:
            network = ipaddress.ip_network(f"{value}{mask or ''}", strict=False)
        except ValueError:
            raise Broken(f"{domain}: {kind}:{value}{mask or ''} is no address") from None
        return ip is not None and ip.version == network.version and ip in network
    made.lookups.append(f"{kind}:{name}")
    _count(made)
    if "%" in name:
        return False  # a macro: what it becomes depends on each message
    if kind == "include":
        return _walk(dns, name, ip, made, depth + 1) == "pass"
    if kind == "ptr":
        made.uses_ptr = True
        return False
    hosts = [name]
    if kind == "mx":
        hosts = mail_hosts(dns, name)
        if not hosts:
            _note_empty(made, f"mx:{name}")
    kinds = ("A",) if kind == "exists" else ("A", "AAAA")
    found = [one for host in hosts[:10] for sort in kinds for one in dns.records(host, sort)]
    if kind == "a" and not found:
        _note_empty(made, f"a:{name}")
    if kind == "exists":
        return bool(found)
    return ip is not None and any(ip in _network(one, mask) for one in found)


def _network(address: str, mask: str | None) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    four, _, six = (mask or "").partition("//")
    bits = six if ":" in address else four.lstrip("/")
    try:
        return ipaddress.ip_network(f"{address}/{bits}" if bits else address, strict=False)
    except ValueError:
        raise Broken(f"{mask} is no size of a network") from None


def _count(made: Evaluation) -> None:
    if len(made.lookups) > 10 * MOST_LOOKUPS:
        raise Broken("it asks hundreds of questions")


def _note_empty(made: Evaluation, name: str) -> None:
    made.empty.append(name)


def findings(dns: Dns, domain: str, ip: str | None = None) -> Iterator[Finding]:
    """What is to say about a domain's SPF."""
    try:
        record = record_of(dns, domain)
        if record is None:
            yield bad(
                ABOUT, f"{domain} has no SPF record: nobody can tell your servers from others",
                f'add a TXT record at {domain}: "v=spf1 include:<your provider\'s name> ~all"',
            )  # fmt: skip
            return
        made = evaluate(dns, domain, ip)
    except Broken as error:
        yield bad(ABOUT, str(error), "correct the record: receivers treat it as if there were none")
        return
    yield good(ABOUT, f"{domain} says {record!r}")
    yield from _limits(made)
    yield from _ending(made)
    if made.passes is True:
        yield good(ABOUT, f"the server {ip} may send for {domain}")
    elif made.passes is False:
        yield bad(
            ABOUT, f"the server {ip} is not among those that may send for {domain}",
            f"add ip{6 if ':' in str(ip) else 4}:{ip} to the record, or the provider's include",
        )  # fmt: skip


def _limits(made: Evaluation) -> Iterator[Finding]:
    count = len(made.lookups)
    if count > MOST_LOOKUPS:
        yield bad(
            ABOUT, f"it takes {count} questions to the DNS, {MOST_LOOKUPS} are allowed: receivers "
            f"stop there and refuse the record ({', '.join(made.lookups)})",
            "remove includes of services that you no longer use, or replace them by ip4: addresses",
        )  # fmt: skip
    elif count >= MOST_LOOKUPS - 1:
        yield warning(
            ABOUT, f"it takes {count} of {MOST_LOOKUPS} questions to the DNS that are allowed",
            "remove includes that you do not need before you add another",
        )  # fmt: skip
    else:
        yield good(ABOUT, f"it takes {count} of {MOST_LOOKUPS} questions to the DNS")
    if len(made.empty) > MOST_EMPTY:
        yield bad(ABOUT, f"names in it do not exist: {', '.join(made.empty)}", "remove them")
    if made.uses_ptr:
        yield warning(ABOUT, "it uses ptr, which receivers ignore", "name addresses instead")


def _ending(made: Evaluation) -> Iterator[Finding]:
    if made.last == "pass":
        yield bad(ABOUT, "it ends with +all: anybody may send as you", "end it with ~all or -all")
    elif made.last in (None, "neutral"):
        yield warning(
            ABOUT, "it does not say what holds for all other servers",
            "end it with ~all (suspicious) or -all (refused)",
        )  # fmt: skip
