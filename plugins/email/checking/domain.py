"""Everything about a domain that mail is sent from: MX, SPF, DKIM, DMARC and how they align."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from plugins.email.checking import keys, spf
from plugins.email.checking.dns import Dns, NoAnswer
from plugins.email.checking.findings import Finding, bad, good, warning

SUFFIXES = frozenset({
    "com.cn", "net.cn", "org.cn", "gov.cn", "edu.cn", "co.uk", "org.uk", "com.hk", "com.tw",
    "com.au", "co.jp", "co.kr", "com.br", "com.sg", "com.my", "co.nz", "co.in", "com.mx",
})  # fmt: skip
"""Suffixes of two parts under which shops register; others have one."""
POLICIES = ("none", "quarantine", "reject")


@dataclass(frozen=True)
class Question:
    """The domain of the sender's address, and what is known about how mail leaves."""

    domain: str
    selectors: Sequence[str] = ()
    return_path: str | None = None
    signing: Sequence[str] = field(default_factory=tuple)
    ip: str | None = None


def check(dns: Dns, asked: Question) -> list[Finding]:
    """Everything that is to say, part by part; a part that nobody answers says so."""
    found: list[Finding] = []
    envelope = asked.return_path or asked.domain
    parts: Sequence[Callable[[], Iterator[Finding]]] = (
        lambda: _mx(dns, envelope),
        lambda: spf.findings(dns, envelope, asked.ip),
        lambda: (
            one for domain in (asked.signing or [asked.domain])
            for one in keys.findings(dns, domain, asked.selectors)
        ),
        lambda: _dmarc(dns, asked, envelope),
    )  # fmt: skip
    for part in parts:
        try:
            found += part()
        except NoAnswer as error:
            found.append(warning("DNS", f"no answer: {error}", "try again, or use --nameserver"))
    return found


def organisation(domain: str) -> str:
    """The registered domain: example.com of mail.example.com."""
    labels = domain.split(".")
    size = 3 if ".".join(labels[-2:]) in SUFFIXES else 2
    return ".".join(labels[-size:])


def _mx(dns: Dns, domain: str) -> Iterator[Finding]:
    hosts = spf.mail_hosts(dns, domain)
    if hosts == [""]:
        yield bad("MX", f"{domain} says that it takes no mail", "bounces need a place to come to")
    elif hosts:
        yield good("MX", f"mail to {domain} goes to {', '.join(hosts)}")
    elif dns.records(domain, "A"):
        yield warning("MX", f"{domain} has no MX record; mail goes to its address", "add one")
    else:
        yield bad(
            "MX", f"nobody takes mail to {domain}: bounces are lost, and some receivers refuse you",
            "add an MX record",
        )  # fmt: skip


def _dmarc(dns: Dns, asked: Question, envelope: str) -> Iterator[Finding]:
    domain = asked.domain
    place, records = f"_dmarc.{domain}", _dmarc_records(dns, domain)
    if not records and organisation(domain) != domain:
        place, records = f"_dmarc.{organisation(domain)}", _dmarc_records(dns, organisation(domain))
    if not records:
        yield bad(
            "DMARC", f"there is no record at _dmarc.{domain}: Gmail and Yahoo ask bulk senders "
            "for one",
            f'add a TXT record at _dmarc.{domain}: "v=DMARC1; p=none; rua=mailto:you@{domain}"',
        )  # fmt: skip
        return
    if len(records) > 1:
        yield bad("DMARC", f"{place} has {len(records)} records: none counts", "leave only one")
        return
    tags = keys.tags_of(records[0])
    policy = tags.get("p", "").lower()
    if policy not in POLICIES:
        yield bad("DMARC", f"{place} has no policy", f"add p={POLICIES[0]} behind v=DMARC1")
        return
    yield good("DMARC", f"{place} says {records[0]!r}")
    if policy == "none":
        yield warning(
            "DMARC", "p=none only watches: forged mail in your name is still taken",
            "when the reports show only your own servers, change it to p=quarantine, then p=reject",
        )  # fmt: skip
    if "rua" not in tags:
        yield warning("DMARC", "nobody gets the reports", "add rua=mailto: with your address")
    if tags.get("pct", "100") != "100":
        yield warning("DMARC", f"it holds for {tags['pct']} % only", "remove pct when all is well")
    yield from _alignment(asked, envelope, tags)


def _alignment(asked: Question, envelope: str, tags: dict[str, str]) -> Iterator[Finding]:
    """DMARC counts SPF and DKIM only for the domain that the reader sees."""
    by_spf = _aligned(envelope, asked.domain, tags.get("aspf"))
    signing = asked.signing or [asked.domain]
    by_dkim = any(_aligned(one, asked.domain, tags.get("adkim")) for one in signing)
    if by_spf:
        yield good("alignment", f"SPF counts: the return path {envelope} belongs to {asked.domain}")
    else:
        yield warning(
            "alignment", f"SPF does not count: the return path {envelope} is not {asked.domain}'s",
            f"use a return path below {organisation(asked.domain)}, or rely on DKIM alone",
        )  # fmt: skip
    if by_dkim:
        yield good("alignment", f"DKIM counts when {', '.join(signing)} signs")
    else:
        yield bad(
            "alignment", f"DKIM does not count: {', '.join(signing)} signs, not {asked.domain}",
            f"have mail signed in the name of {asked.domain}",
        )  # fmt: skip


def _aligned(one: str, other: str, mode: str | None) -> bool:
    if mode == "s":
        return one == other
    return organisation(one) == organisation(other)


def _dmarc_records(dns: Dns, domain: str) -> list[str]:
    records = dns.records(f"_dmarc.{domain}", "TXT")
    return [one for one in records if one.replace(" ", "").lower().startswith("v=dmarc1")]
