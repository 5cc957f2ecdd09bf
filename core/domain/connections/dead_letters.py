"""Dead letters: what a platform told and could not be taken in, kept until somebody looks."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.sdk.connectors import Broken, Resource
from core.sdk.errors import NotFound
from core.storage.database import Session, Work

REASON_LIMIT = 1000
ID_LIMIT = 200
PAYLOAD_LIMIT = 1_000_000


async def bury(w: Work, shop_id: int, resource: Resource, broken: Sequence[Broken]) -> None:
    """Keep what makes no sense; of one entity the last is kept."""
    latest = {_clean(one.external_id)[:ID_LIMIT]: one for one in broken}
    if not latest:
        return
    await w.sql.execute(
        """INSERT INTO dead_letters AS d (merchant_id, shop_id, resource, external_id, reason,
                                          payload_sealed, state, at, tries)
           SELECT $1, $2, $3, u.external_id, u.reason, u.payload, 'open', $4, 1
           FROM unnest($5::text[], $6::text[], $7::bytea[]) AS u (external_id, reason, payload)
           ON CONFLICT (merchant_id, shop_id, resource, external_id) DO UPDATE SET
               reason = excluded.reason, state = 'open', settled_at = NULL, at = excluded.at,
               payload_sealed = COALESCE(excluded.payload_sealed, d.payload_sealed),
               tries = d.tries + 1""",
        w.merchant_id, shop_id, resource.value, w.now, list(latest),
        [_clean(one.reason)[:REASON_LIMIT] for one in latest.values()],
        [
            w.keyring.seal(one.payload[:PAYLOAD_LIMIT], _place(w, shop_id, resource, number))
            if one.payload else None
            for number, one in latest.items()
        ],
    )  # fmt: skip
    await w.notify("connection", shop_id)


async def settle(w: Work, shop_id: int, resource: Resource, external_ids: Sequence[str]) -> None:
    """These were taken in after all."""
    await w.sql.execute(
        """UPDATE dead_letters SET state = 'settled', settled_at = $5
           WHERE merchant_id = $1 AND shop_id = $2 AND resource = $3
             AND external_id = ANY($4::text[]) AND state = 'open'""",
        w.merchant_id, shop_id, resource.value, list(external_ids), w.now,
    )  # fmt: skip


async def letter_of(session: Session, letter_id: int) -> Mapping[str, Any]:
    """One dead letter's row. Raises NotFound."""
    row = await session.sql.fetchrow(
        "SELECT * FROM dead_letters WHERE merchant_id = $1 AND id = $2",
        session.merchant_id, letter_id,
    )  # fmt: skip
    if row is None:
        raise NotFound(f"there is no dead letter {letter_id}", ("id",))
    return dict(row)


async def letters_of(
    session: Session, shop_id: int, limit: int, settled: bool = False
) -> list[Mapping[str, Any]]:
    """A shop's dead letters, the newest first; with `settled` those too that were taken in."""
    rows = await session.sql.fetch(
        """SELECT * FROM dead_letters WHERE merchant_id = $1 AND shop_id = $2
             AND (state = 'open' OR $3) ORDER BY at DESC, id DESC LIMIT $4""",
        session.merchant_id, shop_id, settled, limit,
    )  # fmt: skip
    return [dict(row) for row in rows]


def payload_of(session: Session, letter: Mapping[str, Any]) -> str | None:
    """What the platform told, as it came."""
    if letter["payload_sealed"] is None:
        return None
    place = _place(session, letter["shop_id"], letter["resource"], letter["external_id"])
    return session.keyring.open(letter["payload_sealed"], place)


def _clean(text: str) -> str:
    """Without what the database cannot hold, which may be the very fault."""
    return text.replace("\x00", "").encode(errors="replace").decode()


def _place(session: Session, shop_id: int, resource: str, external_id: str) -> str:
    return f"dead_letters.payload|{session.merchant_id}|{shop_id}|{resource}|{external_id}"
