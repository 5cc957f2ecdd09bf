"""`huike audit`: the audit log."""

import click
import orjson

from core.cli.base import fail, main, merchant_id_of, merchant_option, run, settings_or_fail
from core.installation import open_installation


@main.group()
def audit() -> None:
    """Check and export the audit log."""


@audit.command("verify")
@merchant_option
@click.option("--head", help="A hash noted earlier: shows whether the log's end was cut off.")
def audit_verify(merchant: int | None, head: str | None) -> None:
    """Check that nobody tampered with the log; the exit code is 0 when it is intact."""
    run(_audit_verify(merchant, head))


async def _audit_verify(merchant: int | None, head: str | None) -> None:
    from core.domain.shops.audit import read_hash, verify

    wanted = read_hash(head)
    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        check = await verify(installation.db, merchant_id, wanted)
    click.echo(f"entries {check.entries}")
    click.echo(f"head {check.head.hex()}")
    if check.fault is not None:
        fail(f"the audit log is broken at entry {check.fault.number}: {check.fault.reason}")
    click.echo("the log is intact")


@audit.command("export")
@merchant_option
def audit_export(merchant: int | None) -> None:
    """Print the log as one JSON object a line, the oldest entry first."""
    run(_audit_export(merchant))


async def _audit_export(merchant: int | None) -> None:
    from core.domain.shops.audit import entries

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            w.audit("audit.exported")
        async for entry in entries(installation.db, merchant_id):
            click.echo(orjson.dumps(entry).decode())
