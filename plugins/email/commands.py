"""Commands of the plugin: `huike email ...`."""

import sys
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from plugins.email.dkim import PrivateKey
from plugins.email.templates import LANGUAGES, default_template

RSA_BITS = 2048
TXT_LIMIT = 255


@click.group("email")
def email() -> None:
    """Check domains, make keys and templates for sending email."""


@email.command("check")
@click.argument("domain")
@click.option("--selector", multiple=True, help="A DKIM selector; may be repeated.")
@click.option("--return-path", help="The domain that bounces go to, if it is another one.")
@click.option("--signing", multiple=True, help="The domain that signs, if it is another one.")
@click.option("--ip", help="The address of the server that sends.")
@click.option("--nameserver", help="The address of the DNS server to ask.")
@click.option(
    "--zone", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A zone file to ask in place of the DNS, to try records before they are published.",
)  # fmt: skip
def check(
    domain: str,
    selector: tuple[str, ...],
    return_path: str | None,
    signing: tuple[str, ...],
    ip: str | None,
    nameserver: str | None,
    zone: Path | None,
) -> None:
    """Explain what the DNS says about sending mail from DOMAIN, and what to do.

    Ends with 1 when something is wrong that costs delivery.
    """
    import dns.exception  # large, needed by this command alone

    from plugins.email.checking.dns import Dns, LiveDns, ZoneDns
    from plugins.email.checking.domain import Question
    from plugins.email.checking.domain import check as check_domain

    try:
        source: Dns = ZoneDns(zone) if zone else LiveDns(nameserver)
        asked = Question(
            _ascii(domain), selector, return_path and _ascii(return_path),
            tuple(map(_ascii, signing)), ip,
        )  # fmt: skip
        found = check_domain(source, asked)
    except (dns.exception.DNSException, ValueError) as error:
        raise click.ClickException(str(error)) from None
    for finding in found:
        click.echo(str(finding))
    if any(finding.level == "error" for finding in found):
        sys.exit(1)


@email.command("dkim-key")
@click.argument("domain")
@click.option("--selector", default="huike", show_default=True)
@click.option("--kind", type=click.Choice(["rsa", "ed25519"]), default="rsa", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Where the private key goes.")
def dkim_key(domain: str, selector: str, kind: str, out: Path | None) -> None:
    """Make a key that signs mail of DOMAIN, and show the record that the DNS needs."""
    from plugins.email.checking.keys import record_of

    key: PrivateKey
    if kind == "rsa":
        key = rsa.generate_private_key(65537, RSA_BITS)
    else:
        key = ed25519.Ed25519PrivateKey.generate()
    path = out or Path(f"{selector}.{_ascii(domain)}.pem")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(pem)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None
    record = record_of(key)
    parts = [record[start : start + TXT_LIMIT] for start in range(0, len(record), TXT_LIMIT)]
    click.echo(f"The private key is in {path}; enter its text under dkim in the settings.")
    click.echo("Add this record to the DNS:")
    quoted = " ".join(f'"{part}"' for part in parts)
    click.echo(f"{selector}._domainkey.{_ascii(domain)}. IN TXT {quoted}")


@email.command("template")
@click.option("--language", type=click.Choice(LANGUAGES), default="zh", show_default=True)
def template(language: str) -> None:
    """Print a template of a message to begin with, in MJML."""
    click.echo(default_template(language))


def _ascii(domain: str) -> str:
    """The domain as the DNS knows it. Raises ClickException."""
    try:
        return domain.strip().rstrip(".").encode("idna").decode().lower()
    except UnicodeError:
        raise click.ClickException(f"{domain} is no domain") from None
