"""What is done for a shop on its platform, and never twice by mistake."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson

from core.domain.connections.calls import Priority
from core.domain.connections.opening import open_shop
from core.guard import PluginFailed
from core.registry import Registry
from core.sdk.connectors import Acting, Done, GiveCoupon, PlatformAction, WriteRemark
from core.sdk.errors import HuikeError, InvalidInput, OutsideError, Unknown
from core.storage.database import Database

DONE, FAILED, UNKNOWN = "done", "failed", "unknown"
REASON_LIMIT = 500


async def act(
    db: Database, registry: Registry, merchant_id: int, shop_id: int, action: PlatformAction
) -> list[Done]:
    """Do something on a shop's platform; one answer for each buyer or order.

    A coupon's `key` is given once: again with the same key, the first answers come again. After
    Unknown it is not tried again, and Unknown raised each time, until `deeds.settle` says what
    became of it. A remark overwrites, and may be repeated. Raises InvalidInput for what the
    platform cannot do, an OutsideError, and WrongState for a shop that is not connected.
    """
    if isinstance(action, WriteRemark):
        return list(await _do(db, registry, merchant_id, shop_id, action))
    known = await _begin(db, merchant_id, shop_id, action)
    if known is not None:
        return known
    try:
        done = await _do(db, registry, merchant_id, shop_id, action)
    except (Unknown, PluginFailed) as error:
        # a call that hung may have taken effect
        await _end(db, merchant_id, shop_id, action.key, UNKNOWN, None, str(error))
        raise Unknown(str(error)) from error
    except (HuikeError, OutsideError) as error:
        await _end(db, merchant_id, shop_id, action.key, FAILED, None, str(error))
        raise
    await _end(db, merchant_id, shop_id, action.key, DONE, done, None)
    return list(done)


async def _do(
    db: Database, registry: Registry, merchant_id: int, shop_id: int, action: PlatformAction
) -> Sequence[Done]:
    async with open_shop(db, registry, merchant_id, shop_id, Priority.PUSH) as access:
        session = access.session
        if not isinstance(session, Acting):
            raise InvalidInput(f"{access.shop['platform']} cannot do this for a shop")
        return await access.platform.call(session.act(action))


async def _begin(
    db: Database, merchant_id: int, shop_id: int, action: GiveCoupon
) -> list[Done] | None:
    """Claim the key, or return what became of it. Raises Unknown where nobody knows."""
    async with db.work(merchant_id) as w:
        claimed = await w.sql.fetchval(
            """INSERT INTO platform_deeds AS d (merchant_id, shop_id, key, action, subject, count,
                                                about, state, at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, 'trying', $8)
               ON CONFLICT (merchant_id, shop_id, key) DO UPDATE SET state = 'trying', at = $8
                   WHERE d.state = 'failed'
               RETURNING id""",
            merchant_id, shop_id, action.key, type(action).__name__, action.coupon,
            len(action.buyers), orjson.dumps(list(action.about)).decode(), w.now,
        )  # fmt: skip
        if claimed is not None:
            return None
        row = await w.sql.fetchrow(
            """SELECT state, results FROM platform_deeds
               WHERE merchant_id = $1 AND shop_id = $2 AND key = $3""",
            merchant_id, shop_id, action.key,
        )  # fmt: skip
    if row["state"] == DONE:
        return [Done(**told) for told in orjson.loads(row["results"])]
    # whoever tries it now, or died in it, may have given the coupon
    raise Unknown("nobody knows whether this coupon was given: look at the platform")


async def _end(
    db: Database,
    merchant_id: int,
    shop_id: int,
    key: str,
    state: str,
    done: Sequence[Done] | None,
    reason: str | None,
) -> None:
    results: Any = None if done is None else orjson.dumps([asdict(one) for one in done]).decode()
    async with db.work(merchant_id) as w:
        await w.sql.execute(
            """UPDATE platform_deeds SET state = $4, results = $5, reason = $6
               WHERE merchant_id = $1 AND shop_id = $2 AND key = $3""",
            merchant_id, shop_id, key, state, results, reason and reason[:REASON_LIMIT],
        )  # fmt: skip
