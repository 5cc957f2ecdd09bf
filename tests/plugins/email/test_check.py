"""`huike email ...`: what the DNS says, explained, with a zone file in its place."""

import re

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.email.checking import spf
from plugins.email.checking.dns import ZoneDns
from plugins.email.checking.domain import Question, check, organisation
from plugins.email.checking.keys import record_of
from plugins.email.commands import email
from plugins.email.dkim import read_key

GOOD = """
$TTL 300
shop.example. IN MX 10 mx.shop.example.
mx.shop.example. IN A 192.0.2.1
shop.example. IN TXT "v=spf1 mx include:provider.example -all"
provider.example. IN TXT "v=spf1 ip4:198.51.100.0/24 ip6:2001:db8::/32 ~all"
_dmarc.shop.example. IN TXT "v=DMARC1; p=quarantine; rua=mailto:dmarc@shop.example"
{key}
"""


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """The key that the command makes: its file and the record that it shows."""
    path = tmp_path_factory.mktemp("key") / "key.pem"
    ran = CliRunner().invoke(email, ["dkim-key", "shop.example", "--out", str(path)])
    assert ran.exit_code == 0, ran.output
    return path, ran.output.strip().splitlines()[-1]


@pytest.fixture
def zone(tmp_path, key):
    def make(text=GOOD, **changes):
        path = tmp_path / "zone"
        made = text.replace("{key}", key[1])
        for old, new in changes.get("replace", []):
            assert old in made
            made = made.replace(old, new)
        path.write_text(made + changes.get("more", ""))
        return path

    return make


def run(path, *options, domain="shop.example"):
    ran = CliRunner().invoke(email, ["check", domain, "--zone", str(path), *options])
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    return ran.exit_code, ran.output


def test_a_domain_in_order(zone):
    code, said = run(zone(), "--ip", "198.51.100.7", "--selector", "huike")
    assert code == 0, said
    assert "BAD" not in said
    assert "look" not in said
    for words in ("mx.shop.example", "2 of 10 questions", "198.51.100.7 may send",
                  "RSA key of 2048 bits", "SPF counts", "DKIM counts"):  # fmt: skip
        assert words in said


@pytest.mark.parametrize(("replacements", "options", "words"), [
    ([("-all", "+all")], (), "anybody may send as you"),
    ([(" -all", "")], (), "all other servers"),
    ([('"v=spf1 mx include', '"v=spf2 mx include')], (), "has no SPF record"),
    ([("ip4:198.51.100.0/24", "ip4:nonsense")], (), "is no address"),
    ([("include:provider.example", "include:nobody.example")], (), "which has no SPF record"),
    ([("include:provider.example", "inclde:provider.example")], (), "cannot be read"),
    ([], ("--ip", "203.0.113.1"), "add ip4:203.0.113.1"),
    ([], ("--selector", "other"), "there is no key at other._domainkey.shop.example"),
    ([("p=quarantine", "p=none")], (), "only watches"),
    ([("p=quarantine; ", "")], (), "has no policy"),
    ([("v=DMARC1", "v=DMARC9")], (), "no record at _dmarc.shop.example"),
    ([("; rua=mailto:dmarc@shop.example", "")], (), "nobody gets the reports"),
    ([("IN MX 10 mx.shop.example.", "IN MX 0 .")], (), "takes no mail"),
    ([], ("--signing", "provider.example"), "DKIM does not count"),
    ([], ("--return-path", "provider.example"), "SPF does not count"),
    ([("v=DKIM1", "v=DKIM2")], (), "does not begin with v=DKIM1"),
])  # fmt: skip
def test_what_is_wrong_is_said_with_its_cure(zone, replacements, options, words):
    _, said = run(zone(replace=replacements), *options)
    assert words in said
    faults = [line for line in said.splitlines() if line.startswith(("BAD", "look"))]
    assert said.count("->") == len(faults) > 0


def test_too_many_questions(zone):
    more = "".join(
        f'p{n}.example. IN TXT "v=spf1 include:p{n + 1}.example a:mx.shop.example ~all"\n'
        for n in range(1, 6)
    ) + 'p6.example. IN TXT "v=spf1 -all"\n'  # fmt: skip
    path = zone(replace=[("include:provider.example", "include:p1.example")], more=more)
    code, said = run(path)
    assert code == 1
    assert "12 questions to the DNS, 10 are allowed" in said
    assert "include:p5.example" in said


def test_records_that_include_each_other_come_to_an_end(zone):
    path = zone(replace=[("ip4:198.51.100.0/24", "include:shop.example")])
    code, said = run(path)
    assert code == 1
    assert "without end" in said


def test_two_records_and_a_redirect(zone):
    code, said = run(zone(more='shop.example. IN TXT "v=spf1 -all"\n'))
    assert code == 1
    assert "2 SPF records" in said
    redirect = [('"v=spf1 mx include:provider.example -all"',
                 '"v=spf1 redirect=provider.example"')]  # fmt: skip
    code, said = run(zone(replace=redirect), "--ip", "2001:db8::1")
    assert code == 0, said
    assert "1 of 10 questions" in said


def test_a_subdomain_follows_its_organisation(zone):
    more = "news.shop.example. IN MX 10 mx.shop.example.\n" \
        'news.shop.example. IN TXT "v=spf1 mx -all"\n'  # fmt: skip
    _, said = run(zone(more=more), domain="news.shop.example")
    assert "_dmarc.shop.example says" in said
    assert organisation("a.b.com.cn") == "b.com.cn"


def test_aliases_keys_and_names_in_chinese(zone, key):
    private = read_key(key[0].read_text())
    assert key[0].stat().st_mode & 0o777 == 0o600
    assert "".join(re.findall(r'"([^"]*)"', key[1])) == record_of(private)
    more = "s1._domainkey.shop.example. IN CNAME huike._domainkey.shop.example.\n"
    _, said = run(zone(more=more), "--selector", "s1")
    assert "s1._domainkey.shop.example has an RSA key" in said
    code, said = run(zone(), domain="小店.example")
    assert code == 1
    assert "xn--" in said


def test_commands_refuse_what_they_cannot_do(tmp_path, key):
    again = CliRunner().invoke(email, ["dkim-key", "shop.example", "--out", str(key[0])])
    assert again.exit_code == 1
    assert "cannot be written" in again.output
    broken = tmp_path / "zone"
    broken.write_text("shop.example. IN NONSENSE x\n")
    assert run(broken)[0] == 1
    assert run(zone_of(tmp_path, ""))[0] == 1


def zone_of(folder, text):
    path = folder / "other"
    path.write_text(text)
    return path


class Answers:
    """Records of a world in which every name says the same."""

    def __init__(self, text):
        self.text = text

    def records(self, name, kind):
        return {"TXT": [self.text], "MX": ["10 mx.example"], "A": ["192.0.2.1"]}.get(kind, [])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([
    "v=spf1", "include:x.example", "a", "mx/24", "a:%{i}.x", "ip4:1.2.3.4/33", "ip6:::1/64",
    "exists:x", "redirect=x.example", "-all", "?all", "ptr", "", "x", "ip4:", "all:x", "a//64",
]), max_size=12), st.sampled_from([None, "192.0.2.1", "2001:db8::1"]))  # fmt: skip
def test_any_record_is_judged(terms, ip):
    asked = Question("x.example", ip=ip)
    assert check(Answers(" ".join(["v=spf1", *terms])), asked)
    assert list(spf.findings(Answers(" ".join(terms)), "x.example", ip))


def test_a_zone_file_that_leads_in_circles(tmp_path):
    dns = ZoneDns(zone_of(tmp_path, "$TTL 1\na.example. IN CNAME b.example.\n"
                                    "b.example. IN CNAME a.example.\n"))  # fmt: skip
    found = check(dns, Question("a.example"))
    assert any("without end" in str(one) for one in found)
