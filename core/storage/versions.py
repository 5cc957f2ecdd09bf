"""Optimistic locking: a change that holds only for the object as its author saw it."""

from core.sdk.errors import Conflict
from core.storage.database import Work

PATH = ("input", "if_version")


def check_version(version: int, if_version: int | None, path: tuple[str, ...] = PATH) -> None:
    """Raises Conflict for an object that is another version by now; None is any."""
    if if_version is not None and version != if_version:
        raise Conflict(f"it has version {version} by now, not {if_version}: read it again", path)


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
