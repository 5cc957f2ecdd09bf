"""`huike import customers` and `huike import members`."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.cli.base import fail, merchant_id_of, merchant_option, run, settings_or_fail
from core.cli.importing import import_group, reading, tell_account
from core.installation import open_installation

if TYPE_CHECKING:
    from core.domain.customers.importing import Preview


@import_group.command("customers")
@merchant_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option("--map", "pairs", multiple=True, metavar="FIELD=HEADER", help="Where a field stands.")
@click.option("--shop", help="The shop whose ids the file has; without it they are the merchant's.")
@click.option(
    "--existing",
    type=click.Choice(["update", "fill", "skip"]),
    default="update",
    show_default=True,
    help="What becomes of customers known already.",
)
@click.option("--on-error", type=click.Choice(["skip", "stop"]), default="skip", show_default=True)
@click.option("--tag", "tags", multiple=True, help="A tag for every customer of the file.")
@click.option(
    "--consent",
    "words",
    multiple=True,
    metavar="CHANNEL=EVIDENCE",
    help="Record consent to marketing of customers who never said anything.",
)
@click.option(
    "--preview",
    "preview_rows",
    type=click.IntRange(1, 100),
    metavar="ROWS",
    help="Show how the first rows are read; write nothing.",
)
@click.option("--dry-run", is_flag=True, help="Say what would become of each row; write nothing.")
def import_customers(
    merchant: int | None,
    file: Path,
    pairs: tuple[str, ...],
    shop: str | None,
    existing: str,
    on_error: str,
    tags: tuple[str, ...],
    words: tuple[str, ...],
    preview_rows: int | None,
    dry_run: bool,
) -> None:
    """Import a CSV or Excel file of customers.

    Run it again after an interruption and it goes on where it stopped. Rows that cannot be taken
    in are listed in FILE.rejects.csv. `huike import undo` takes it back.
    """
    options = {
        "mapping": _pairs("--map", pairs), "existing": existing, "on_error": on_error,
        "tags": tags, "consent": _pairs("--consent", words),
    }  # fmt: skip
    run(_import_customers(merchant, file, shop, options, preview_rows, dry_run))


def _pairs(option: str, given: tuple[str, ...]) -> dict[str, str]:
    pairs = dict(pair.split("=", 1) for pair in given if "=" in pair)
    if len(pairs) != len(given) or not all(pairs.values()):
        raise click.UsageError(f"{option} is written as name=value, each name once")
    return pairs


async def _import_customers(
    merchant: int | None,
    file: Path,
    shop: str | None,
    given: dict[str, Any],
    preview_rows: int | None,
    dry_run: bool,
) -> None:
    from core.domain.customers import importing
    from core.domain.shops.shops import find_shop
    from core.tabular.bulk import rejects_of
    from core.tabular.reading import examine

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        db = installation.db
        merchant_id = await merchant_id_of(installation, merchant)
        async with db.read(merchant_id) as session:
            shop_id = (await find_shop(session, shop))["id"] if shop else None
        options = importing.Options(shop_id=shop_id, **given)
        facts = await asyncio.to_thread(examine, file)
        if preview_rows is not None:
            async with db.read(merchant_id) as session:
                _show_preview(await importing.preview(session, facts, options, preview_rows))
            return
        ended = None
        with reading(file, facts.size) as (rejects, progress):
            if dry_run:
                account = await importing.rehearse(
                    db, merchant_id, facts, options, rejects.add, progress
                )
            else:
                ended = await importing.import_local(db, merchant_id, facts, options, progress)
                account = ended.account
                async for reject in rejects_of(db, merchant_id, ended.job_id):
                    rejects.add(reject)
    tell_account(account, rejects, ended)
    if ended is not None and account.created + account.updated:
        click.echo(f"to take it back: huike import undo {ended.job_id}")


@import_group.command("members")
@merchant_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option("--map", "pairs", multiple=True, metavar="FIELD=HEADER", help="Where a field stands.")
@click.option("--shop", help="The shop whose ids the file has; without it they are the merchant's.")
@click.option(
    "--tiers",
    type=click.Choice(["keep", "manual", "compute"]),
    default="keep",
    show_default=True,
    help="Tiers of the file: kept until they end, given by hand, or not stored but computed.",
)
@click.option("--dry-run", is_flag=True, help="Say what would become of each row; write nothing.")
def import_members(
    merchant: int | None,
    file: Path,
    pairs: tuple[str, ...],
    shop: str | None,
    tiers: str,
    dry_run: bool,
) -> None:
    """Import a CSV or Excel file of an existing programme: members, tiers and points.

    It ends with a comparison of the file with what is stored. Run it again and nothing is given
    twice. Rows that cannot be taken in are listed in FILE.rejects.csv.
    """
    options = {"mapping": _pairs("--map", pairs), "tiers": tiers, "dry_run": dry_run}
    run(_import_members(merchant, file, shop, options))


async def _import_members(
    merchant: int | None, file: Path, shop: str | None, given: dict[str, Any]
) -> None:
    from core.domain.members import importing
    from core.domain.shops.shops import find_shop
    from core.tabular.bulk import rejects_of
    from core.tabular.reading import examine

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        db = installation.db
        merchant_id = await merchant_id_of(installation, merchant)
        async with db.read(merchant_id) as session:
            shop_id = (await find_shop(session, shop))["id"] if shop else None
        options = importing.Options(shop_id=shop_id, **given)
        facts = await asyncio.to_thread(examine, file)
        with reading(file, facts.size) as (rejects, progress):
            if options.dry_run:
                result = await importing.rehearse(
                    db, merchant_id, facts, options, rejects.add, progress
                )
            else:
                ended = await importing.import_local(db, merchant_id, facts, options, progress)
                if ended.error is not None:
                    fail(ended.error)
                result = dict(ended.account)
                async for reject in rejects_of(db, merchant_id, ended.job_id):
                    rejects.add(reject)
    _show_members(result, "would be: " if options.dry_run else "")
    if result["rejected"]:
        click.echo(f"the rejected rows, and why: {rejects.path}")


def _show_members(result: dict[str, Any], prefix: str) -> None:
    """An import's account, and the file against what is stored."""
    click.echo(
        f"{prefix}read {result['read']} = joined {result['joined']} + known {result['known']}"
        f" + rejected {result['rejected']}"
    )
    click.echo(
        f"{prefix}points {result['points']} in {result['lots']} lots;"
        f" {result['lots_known']} lots were known, {result['expired']} points had expired"
    )
    click.echo(f"{'tier':<20}{'members':>22}{'points':>26}   (file / stored)")
    for part in result["reconciliation"]:
        name = "altogether" if part.get("total") else part["tier"] or "none"
        members = f"{part['file_members']} / {part['stored_members']}"
        points = f"{part['file_points']} / {part['stored_points']}"
        click.echo(f"{name:<20}{members:>22}{points:>26}")


def _show_preview(found: "Preview") -> None:
    """Where each field stands, then the rows as they would be read."""
    for field, positions in found.columns.at.items():
        headers = ", ".join(found.columns.headers[position] for position in positions)
        guessed = " (guessed)" if field in found.columns.guessed else ""
        click.echo(f"{field:<24}{headers}{guessed}")
    if unused := found.columns.unused():
        click.echo(f"{'not read':<24}{', '.join(unused)}")
    for row in found.rows:
        shown = " | ".join(f"{name}: {value}" for name, value in row.values.items())
        if row.problem is not None:
            column = f" in {row.problem.column}" if row.problem.column else ""
            shown = f"REJECTED {row.problem.code}{column}: {row.problem.reason}"
        click.echo(f"row {row.row}: {shown}")
