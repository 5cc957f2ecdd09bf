"""`huike staff`: accounts of people."""

import click

from core.cli.base import main, merchant_id_of, merchant_option, run, settings_or_fail
from core.installation import open_installation


@main.group()
def staff() -> None:
    """Add, list and reset the people who log in."""


@staff.command("add")
@merchant_option
@click.option("--email", required=True)
@click.option("--name", required=True)
@click.option("--role", default="owner", show_default=True)
def staff_add(merchant: int | None, email: str, name: str, role: str) -> None:
    """Add a person, and print the token with which the password is set, once."""
    run(_staff_add(merchant, email, name, role))


async def _staff_add(merchant: int | None, email: str, name: str, role: str) -> None:
    from core.domain.shops.staff.accounts import invite

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            staff_id, token = await invite(
                w, installation.registry, name, email, role, need=lambda _: None
            )
    click.echo(f"staff {staff_id} ({role}) is ready; for `staffInviteAccept`, within 3 days:")
    click.echo(token)


@staff.command("list")
@merchant_option
def staff_list(merchant: int | None) -> None:
    """List the people who log in, and the merchant's id that they log in to."""
    run(_staff_list(merchant))


async def _staff_list(merchant: int | None) -> None:
    from core.domain.shops.staff.accounts import email_of, state_of
    from core.sdk.ids import join_id

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.read(merchant_id) as session:
            rows = await session.sql.fetch(
                "SELECT * FROM staff WHERE merchant_id = $1 ORDER BY id", merchant_id
            )
            emails = [email_of(session.keyring, row) for row in rows]
    click.echo(f"merchantId {join_id('Merchant', merchant_id)}")
    for row, email in zip(rows, emails, strict=True):
        click.echo(f"{row['id']:<8}{state_of(row):<10}{row['role']:<16}{email:<32}{row['name']}")


@staff.command("reset")
@merchant_option
@click.argument("email")
def staff_reset(merchant: int | None, email: str) -> None:
    """Take password, second factor and sessions away, and print the token for a new password."""
    run(_staff_reset(merchant, email))


async def _staff_reset(merchant: int | None, email: str) -> None:
    from core.domain.shops.staff.accounts import find_by_email, reset

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            staff_id = await find_by_email(w, email)
            token = await reset(w, installation.registry, staff_id, need=lambda _: None)
    click.echo("for `staffInviteAccept`, within 3 days:")
    click.echo(token)
