"""A call that is repeated with the same key gets its first answer, and is not done again."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from core.sdk.errors import Faults, InvalidInput, KeyReused
from core.storage.database import Work

KEY_LIMIT = 200
PATH = ("input", "idempotencyKey")


def check_key(key: str) -> None:
    """Raises InvalidInput for an idempotency key of another length."""
    if not 1 <= len(key) <= KEY_LIMIT:
        raise InvalidInput(f"an idempotency key has 1 to {KEY_LIMIT} characters", PATH)


async def once(
    w: Work, operation: str, key: str, given: Any, call: Callable[[], Awaitable[Any]]
) -> Any:
    """The JSON result of `call`, made by the first call with this key in its own transaction.

    A second caller waits for the first one's commit. Raises KeyReused for other input, InvalidInput
    for a key of another length, and Several when `call` finds more that is wrong.
    """
    faults = Faults()
    with faults:
        check_key(key)
    if faults:
        with faults:
            await call()  # it is taken back with the transaction: what else is wrong is told too
        faults.tell()
    digest = hashlib.sha256(orjson.dumps(given, option=orjson.OPT_SORT_KEYS)).digest()
    mine = await w.sql.fetchval(
        """INSERT INTO idempotency_keys (merchant_id, operation, key, input_hash, created_at)
           VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (merchant_id, operation, key) DO NOTHING RETURNING id""",
        w.merchant_id, operation, key, digest, w.now,
    )  # fmt: skip
    if mine is None:
        row = await w.sql.fetchrow(
            """SELECT input_hash, result FROM idempotency_keys
               WHERE merchant_id = $1 AND operation = $2 AND key = $3""",
            w.merchant_id, operation, key,
        )  # fmt: skip
        if row["input_hash"] != digest:
            raise KeyReused("this key was used before with other input", PATH)
        return orjson.loads(row["result"])
    result = await call()
    await w.sql.execute(
        "UPDATE idempotency_keys SET result = $3 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, mine, orjson.dumps(result).decode(),
    )  # fmt: skip
    return result


async def once_for(w: Work, operation: str, given: Any, call: Callable[[], Awaitable[Any]]) -> Any:
    """The first answer to an input with this idempotency key; see `once`."""
    values = {name: value for name, value in vars(given).items() if name != "idempotency_key"}
    return await once(w, operation, given.idempotency_key, values, call)


async def forget(w: Work, operation: str, key: str) -> None:
    """Leave the key free again, since what its call began has certainly not been done."""
    await w.sql.execute(
        "DELETE FROM idempotency_keys WHERE merchant_id = $1 AND operation = $2 AND key = $3",
        w.merchant_id, operation, key,
    )  # fmt: skip


async def answered(w: Work, operation: str, key: str, result: Any) -> None:
    """Change what a repeated call gets, once it is known how the first one ended outside."""
    await w.sql.execute(
        """UPDATE idempotency_keys SET result = $4
           WHERE merchant_id = $1 AND operation = $2 AND key = $3""",
        w.merchant_id, operation, key, orjson.dumps(result).decode(),
    )  # fmt: skip
