"""`huike shop`: connecting shops, and what flows in from them."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

import click

from core.cli.base import main, merchant_id_of, merchant_option, run, settings_or_fail
from core.installation import open_installation
from core.registry import Registry
from core.storage.database import Work


@main.group()
def shop() -> None:
    """Connect shops to their platforms, and see how their data flows in."""


shop_argument = click.argument("shop_name", metavar="SHOP")


@shop.command("connect")
@merchant_option
@click.argument("platform")
@click.option("--shop", "shop_name", help="The shop that is meant, if it exists already.")
def shop_connect(merchant: int | None, platform: str, shop_name: str | None) -> None:
    """Print the link on which a seller authorises his shop, within an hour."""
    run(_shop_connect(merchant, platform, shop_name))


async def _shop_connect(merchant: int | None, platform: str, shop_name: str | None) -> None:
    from core.domain.connections.attempts import start_attempt
    from core.domain.shops.shops import find_shop

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            meant = (await find_shop(w, shop_name))["id"] if shop_name else None
            base_url = installation.settings.base_url
            url = await start_attempt(w, installation.registry, base_url, platform, meant)
    click.echo(url)


@shop.command("token")
@merchant_option
@click.argument("platform")
@click.option("--shop", "shop_name", help="The shop that is meant, if it exists already.")
@click.option("--refresh", is_flag=True, help="Also ask for the token that renews it.")
def shop_token(merchant: int | None, platform: str, shop_name: str | None, refresh: bool) -> None:
    """Connect a shop by a token, which is asked for and tried."""
    access = click.prompt("token", hide_input=True)
    renewing = click.prompt("refresh token", hide_input=True) if refresh else None
    run(_shop_token(merchant, platform, shop_name, access, renewing))


async def _shop_token(
    merchant: int | None, platform: str, shop_name: str | None, access: str, renewing: str | None
) -> None:
    from core.domain.connections.connecting import connect_with_token
    from core.domain.shops.shops import find_shop
    from core.sdk.connectors import Token

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        db = installation.db
        async with db.read(merchant_id) as session:
            meant = (await find_shop(session, shop_name))["id"] if shop_name else None
        shop_id = await connect_with_token(
            db, installation.registry, merchant_id, platform, Token(access, renewing), meant,
            "command",
        )  # fmt: skip
    click.echo(f"shop {shop_id} is connected")


LETTERS_SHOWN = 10


@shop.command("status")
@merchant_option
@click.argument("shop_name", metavar="[SHOP]", required=False)
def shop_status(merchant: int | None, shop_name: str | None) -> None:
    """Show how each shop's data flows in, and what to do about what is wrong."""
    run(_shop_status(merchant, shop_name))


async def _shop_status(merchant: int | None, shop_name: str | None) -> None:
    from core.domain.connections.dead_letters import letters_of
    from core.domain.connections.deeds import open_deeds
    from core.domain.connections.report import reports
    from core.domain.shops.shops import find_shop

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.read(merchant_id) as session:
            chosen = [(await find_shop(session, shop_name))["id"]] if shop_name else None
            rows = await session.sql.fetch(
                "SELECT id, name FROM shops WHERE merchant_id = $1", merchant_id
            )
            found = await reports(session, chosen)
            deeds = await open_deeds(session, chosen[0] if chosen else None)
            letters = {
                one.shop_id: await letters_of(session, one.shop_id, LETTERS_SHOWN) for one in found
            }
    names = {row["id"]: row["name"] for row in rows}
    for report in found:
        click.echo(f"{names[report.shop_id]} ({report.connector}): {report.state}")
        for past in report.past:
            ends = f", until about {past.ends_at:%Y-%m-%d %H:%M} UTC" if past.ends_at else ""
            given_up = f", {past.failed} given up" if past.failed else ""
            told = f"; {past.problem}" if past.problem else ""
            click.echo(
                f"  past {past.resource}: {past.done} of {past.slices} stretches, "
                f"{past.records} records{given_up}{ends}{told}"
            )
        for one in report.following:
            told = f"; {one.problem}" if one.problem else ""
            click.echo(f"  {one.resource}: {one.lag.total_seconds():.0f} s behind{told}")
        if report.waiting_messages:
            click.echo(f"  {report.waiting_messages} changes are told and not fetched yet")
        for letter in letters[report.shop_id]:
            click.echo(
                f"  {letter['resource']} {letter['external_id']} was not taken in: "
                f"{letter['reason']}; `huike shop retry {letter['id']}` asks for it again"
            )
        if report.dead_letters > len(letters[report.shop_id]):
            click.echo(f"  in all {report.dead_letters} were not taken in")
        for problem in filter(None, (report.problem, report.cure)):
            click.echo(f"  {problem}")
    for deed in deeds:
        click.echo(
            f"{names[deed['shop_id']]}: nobody knows whether {deed['subject']} was given to "
            f"{deed['count']} buyers at {deed['at']:%Y-%m-%d %H:%M} UTC ({deed['key']}): look at "
            f"the platform, then `huike shop settle {deed['id']} done` or `not-done`"
        )
    if not found:
        click.echo("no shop is connected: see `huike shop connect`")


@shop.command("settle")
@merchant_option
@click.argument("number", type=int)
@click.argument("end", type=click.Choice(["done", "not-done"]))
def shop_settle(merchant: int | None, number: int, end: str) -> None:
    """Say what became of something on a platform, as `huike shop status` asks."""
    run(_shop_settle(merchant, number, end == "done"))


async def _shop_settle(merchant: int | None, number: int, done: bool) -> None:
    from core.domain.connections.deeds import settle

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            await settle(w, number, done)
    click.echo("settled")


@shop.command("retry")
@merchant_option
@click.argument("number", type=int)
def shop_retry(merchant: int | None, number: int) -> None:
    """Ask a platform once more for what was not taken in, as `huike shop status` lists it."""
    run(_shop_retry(merchant, number))


async def _shop_retry(merchant: int | None, number: int) -> None:
    from core.domain.connections.dead_letters import letter_of
    from core.domain.connections.inbox import ask_again

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            await ask_again(w, await letter_of(w, number))
    click.echo("done; `huike shop status` shows how it goes on")


@shop.command("resync")
@merchant_option
@shop_argument
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]))
def shop_resync(merchant: int | None, shop_name: str, day: datetime) -> None:
    """Have what was created on a day read once more."""

    async def resync(w: Work, registry: Registry, shop_id: int) -> None:
        from core.domain.connections.counting import resync_day

        await resync_day(w, registry, shop_id, day.date())

    run(_with_shop(merchant, shop_name, resync))


@shop.command("pause")
@merchant_option
@shop_argument
def shop_pause(merchant: int | None, shop_name: str) -> None:
    """Call the platform no more for a shop."""
    run(_set_paused(merchant, shop_name, True))


@shop.command("resume")
@merchant_option
@shop_argument
def shop_resume(merchant: int | None, shop_name: str) -> None:
    """Go on with a paused shop, and catch up."""
    run(_set_paused(merchant, shop_name, False))


async def _set_paused(merchant: int | None, shop_name: str, paused: bool) -> None:
    async def pause(w: Work, _: Registry, shop_id: int) -> None:
        from core.domain.connections.connecting import set_paused

        await set_paused(w, shop_id, paused)

    await _with_shop(merchant, shop_name, pause)


@shop.command("disconnect")
@merchant_option
@shop_argument
@click.option("--erase", is_flag=True, help="Erase the people who are known by this shop alone.")
def shop_disconnect(merchant: int | None, shop_name: str, erase: bool) -> None:
    """Forget a shop's token and follow it no more; what came in stays, unless --erase is given."""
    if erase:
        click.confirm("The shop's people are erased for good. Go on?", abort=True)

    async def end(w: Work, _: Registry, shop_id: int) -> None:
        from core.domain.connections.connecting import disconnect
        from core.domain.privacy.shop_erasure import disconnect_and_erase

        await (disconnect_and_erase if erase else disconnect)(w, shop_id)

    run(_with_shop(merchant, shop_name, end))


async def _with_shop(
    merchant: int | None,
    shop_name: str,
    use: Callable[[Work, Registry, int], Coroutine[Any, Any, None]],
) -> None:
    from core.domain.shops.shops import find_shop

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            found = await find_shop(w, shop_name)
            await use(w, installation.registry, found["id"])
    click.echo("done; `huike shop status` shows how it goes on")
