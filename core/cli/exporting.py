"""`huike export`: what a merchant has, as a file."""

import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
import orjson

from core.cli.base import fail, main, merchant_id_of, merchant_option, run, settings_or_fail
from core.installation import open_installation
from core.storage.database import Work


@main.command("export")
@merchant_option
@click.argument("what", type=click.Choice(["customers", "orders", "refunds", "deliveries"]))
@click.option("--where", metavar="JSON", help="The filter, as in the list's query.")
@click.option("--segment", metavar="NAME", help="Only the customers of this segment.")
@click.option(
    "--on-day",
    metavar="DAY",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Who was in the segment when this day ended.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["csv", "xlsx", "jsonl"]),
    default="csv",
    show_default=True,
)
@click.option("--columns", metavar="NAME,...", help="The columns and their order; all without it.")
@click.option("--masked", is_flag=True, help="Mask phones, emails, names and addresses.")
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path))
def export_command(
    merchant: int | None,
    what: str,
    where: str | None,
    segment: str | None,
    on_day: datetime | None,
    format_name: str,
    columns: str | None,
    masked: bool,
    output: Path,
) -> None:
    """Write customers, orders or deliveries into a file.

    Run it again after an interruption and it goes on where it stopped.
    """
    try:
        given = orjson.loads(where) if where else None
    except orjson.JSONDecodeError:
        raise click.UsageError('--where is JSON, as {"city": {"eq": "杭州市"}}') from None
    if segment is not None and what != "customers":
        raise click.UsageError("--segment is about customers")
    if on_day is not None and segment is None:
        raise click.UsageError("--on-day is about a segment: give --segment")
    names = [name.strip() for name in columns.split(",")] if columns else None
    members = (segment, on_day.date() if on_day else None) if segment is not None else None
    run(_export(merchant, what, given, members, format_name, names, masked, output))


async def _export(
    merchant: int | None,
    what: str,
    where: Any,
    members: tuple[str, date | None] | None,
    format_name: str,
    columns: list[str] | None,
    masked: bool,
    output: Path,
) -> None:
    from core.domain.customers.masking import RIGHTS
    from core.domain.segments.choosing import choose_customers, segment_named
    from core.installation import EXPORTS
    from core.schema.build import build_schema
    from core.schema.exports import record_export, request_of, where_of_json
    from core.tabular.exporting import export_local

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        db = installation.db
        merchant_id = await merchant_id_of(installation, merchant)
        condition = where_of_json(build_schema(installation.registry), what, where)
        given = [what, where, format_name, columns, masked, *(members or ())]
        request = request_of(db.keyring, given)

        async def record(w: Work) -> int:
            among = None
            if members is not None:
                name, day = members
                pk = await segment_named(w, name)
                among = await choose_customers(w, installation.registry, segment_id=pk, on_day=day)
            return await record_export(
                w, what, condition, None, format_name, columns, among=among,
                clear=() if masked else RIGHTS, need=lambda _: None, request=request, queued=False,
            )  # fmt: skip

        with click.progressbar(length=1, label=output.name, file=sys.stderr) as bar:

            def progress(done: int, total: int) -> None:
                bar.length = total
                bar.update(done - bar.pos)

            ended = await export_local(db, merchant_id, EXPORTS, request, record, output, progress)
    if ended.resumed_at:
        click.echo(f"went on behind row {ended.resumed_at}, where an earlier run stopped")
    if ended.error is not None:
        fail(ended.error)
    result = orjson.loads(ended.row["result"])
    click.echo(f"{result['rows']} rows, {result['file']['size']} bytes: {output}")
    click.echo(f"sha256 {result['file']['sha256']}")
    if result["cut"]:
        click.echo(f"{result['cut']} cells were longer than Excel allows and were cut")
