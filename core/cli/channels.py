"""`huike channel`: trying one."""

import sys
import uuid

import click

from core.cli.base import fail, main, merchant_id_of, merchant_option, run, settings_or_fail
from core.installation import open_installation


@main.group("channel")
def channel_group() -> None:
    """Try the ways to reach customers."""


@channel_group.command("test")
@click.argument("channel")
@click.option("--to", required=True, help="Your own number or address.")
@click.option("--text", help="The channel's main text, just as it goes out.")
@click.option("--field", "fields", multiple=True, help="NAME=VALUE of another part; repeat it.")
@click.option("--marketing", is_flag=True, help="As a marketing message, not a service one.")
@click.option("--shop", type=int, help="The number of the shop in whose name it is sent.")
@merchant_option
def channel_test(
    channel: str,
    to: str,
    text: str | None,
    fields: tuple[str, ...],
    marketing: bool,
    shop: int | None,
    merchant: int | None,
) -> None:
    """Send one real message by CHANNEL (email, sms ...), with the merchant's stored settings."""
    run(_channel_test(channel, to, text, fields, marketing, shop, merchant))


async def _channel_test(
    name: str,
    to: str,
    text: str | None,
    fields: tuple[str, ...],
    marketing: bool,
    shop_id: int | None,
    merchant: int | None,
) -> None:
    from core.domain.campaigns.content.trial import plain_trial, send_trial
    from core.domain.campaigns.flows import campaign_channel

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        registry, db = installation.registry, installation.db
        merchant_id = await merchant_id_of(installation, merchant)
        content = dict.fromkeys(
            (part.name for part in campaign_channel(registry, name).fields if part.required),
            text or "Huike: this is a test. 这是一条测试消息。",
        )
        for given in fields:
            part, equals, value = given.partition("=")
            if not equals:
                fail(f"--field needs NAME=VALUE, not {given!r}")
            content[part] = value
        async with db.work(merchant_id, "command") as w:
            trial = await plain_trial(
                w, registry, name, to, content, "marketing" if marketing else "service", shop_id,
                uuid.uuid4().hex, installation.settings.base_url,
            )  # fmt: skip
        state, said = await send_trial(db, registry, trial)
    click.echo(state if said is None else f"{state}: {said}")
    if state != "sent":
        sys.exit(1)
