"""`huike token`: tokens of the API."""

import click

from core.cli.base import main, merchant_id_of, merchant_option, run, settings_or_fail
from core.installation import open_installation


@main.group()
def token() -> None:
    """Make, list and revoke API tokens."""


@token.command("create")
@merchant_option
@click.option("--name", required=True)
@click.option("--permission", "permissions", multiple=True, help="Repeat it; all if none is given.")
@click.option("--days", type=click.IntRange(1), help="Days until it expires.")
def token_create(
    merchant: int | None, name: str, permissions: tuple[str, ...], days: int | None
) -> None:
    """Make a token and print it, once."""
    run(_token_create(merchant, name, permissions, days))


async def _token_create(
    merchant: int | None, name: str, permissions: tuple[str, ...], days: int | None
) -> None:
    from datetime import timedelta

    from core.domain.shops.permissions import all_permissions
    from core.domain.shops.tokens import create_token

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            expires = w.now + timedelta(days=days) if days else None
            _, secret = await create_token(
                w,
                installation.registry,
                name,
                permissions or all_permissions(installation.registry),
                expires,
            )
    click.echo(secret)


@token.command("list")
@merchant_option
def token_list(merchant: int | None) -> None:
    """List a merchant's tokens, without their secrets."""
    run(_token_list(merchant))


async def _token_list(merchant: int | None) -> None:
    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.read(merchant_id) as session:
            rows = await session.sql.fetch(
                "SELECT * FROM api_tokens WHERE merchant_id = $1 ORDER BY id", merchant_id
            )
            now = session.now
    for row in rows:
        expired = row["expires_at"] is not None and row["expires_at"] <= now
        state = "revoked" if row["revoked_at"] else "expired" if expired else "valid"
        click.echo(f"{row['id']:<8}{row['name']:<24}{state:<10}{row['permissions']}")


@token.command("revoke")
@merchant_option
@click.argument("token_id", type=int)
def token_revoke(merchant: int | None, token_id: int) -> None:
    """End a token at once."""
    run(_token_revoke(merchant, token_id))


async def _token_revoke(merchant: int | None, token_id: int) -> None:
    from core.domain.shops.tokens import revoke_token

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            await revoke_token(w, token_id)
    click.echo("revoked")
