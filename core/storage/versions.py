"""Versions of rows and of settings, held against the one that the author of a change saw."""

from collections.abc import Sequence

from core.sdk.versions import check_version
from core.storage.database import Session, Work


async def hold_version(w: Work, table: str, pk: int, if_version: int | None) -> None:
    """Check the version of a row, and keep it so until the transaction ends. Raises Conflict.

    A row that is not there is left to what comes next.
    """
    if if_version is None:
        return
    version = await w.sql.fetchval(
        f"SELECT version FROM {table} WHERE merchant_id = $1 AND id = $2 FOR NO KEY UPDATE",
        w.merchant_id, pk,
    )  # fmt: skip
    if version is not None:
        check_version(version, if_version)


def place(*parts: object) -> str:
    """Which setting of a kind it is, as in "0/email"; there is one "" of a kind without places."""
    return "/".join(map(str, parts))


async def next_version(
    w: Work, kind: str, where: str, if_version: int | None, *, is_set: bool = True
) -> None:
    """Give a setting its next version, and keep others from it until the transaction ends.

    One that is not set has version 0; set again, it goes on from its last version, so that none
    ever means two things. Raises Conflict for another version than `if_version`.
    """
    row = await w.sql.fetchrow(
        """INSERT INTO setting_versions AS v (merchant_id, kind, place, version, is_set)
           VALUES ($1, $2, $3, 0, FALSE)
           ON CONFLICT (merchant_id, kind, place) DO UPDATE SET place = v.place
           RETURNING v.id, v.version, v.is_set""",
        w.merchant_id, kind, where,
    )  # fmt: skip
    assert row is not None
    check_version(row["version"] if row["is_set"] else 0, if_version)
    await w.sql.execute(
        """UPDATE setting_versions SET version = version + 1, is_set = $3
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, row["id"], is_set,
    )  # fmt: skip


async def versions_of(session: Session, kind: str, places: Sequence[str]) -> dict[str, int]:
    """The versions of settings that are set, by place."""
    rows = await session.sql.fetch(
        """SELECT place, version FROM setting_versions
           WHERE merchant_id = $1 AND kind = $2 AND place = ANY($3::text[]) AND is_set""",
        session.merchant_id, kind, places,
    )  # fmt: skip
    return {row["place"]: row["version"] for row in rows}
