"""Holding a row that is of the version that its author saw."""

from core.sdk.versions import check_version
from core.storage.database import Work


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
