"""Tags: put on and taken off whole sets of customers, renamed and deleted.

A tag's `source` is "staff", "import", "rule" or the name of the plugin that put it there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.domain.customers.log import log_each, log_event
from core.sdk.errors import Faults, HuikeError, InvalidInput, NotFound
from core.storage import jobs
from core.storage.database import Database, Session, Work

TAG_LIMIT = 64
TAGS_LIMIT = 100
MAX_CUSTOMERS = 500
AT_ONCE = 5_000
"""A tag on more customers than this is renamed or deleted by a job, so many at a time."""


@dataclass(frozen=True)
class Retagged:
    """How many customers have the tag, and the job that changes them if they are too many."""

    count: int
    job_id: int | None


def check_tags(tags: Sequence[str], path: tuple[str, ...] = ("input", "tags")) -> list[str]:
    """The tags without outer blanks and repetition. Raises InvalidInput, Several."""
    cleaned = sorted({tag.strip() for tag in tags})
    if len(cleaned) > TAGS_LIMIT:
        raise InvalidInput(f"at most {TAGS_LIMIT} tags at once", path)
    faults = Faults()
    for tag in cleaned:
        if not 1 <= len(tag) <= TAG_LIMIT or not _storable(tag):
            faults.add(InvalidInput(f"{tag[:100]!r}: a tag has 1 to {TAG_LIMIT} characters", path))
    faults.tell()
    return cleaned


def _storable(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


async def tag_customers(
    w: Work, customer_ids: Sequence[int], tags: Sequence[str], source: str
) -> int:
    """Put tags on customers and log what is new; one that is there already stays as it is.

    Ids without a customer are passed over. Returns how many customers got a tag. Raises
    InvalidInput.
    """
    rows = await w.sql.fetch(
        """WITH held AS MATERIALIZED (
               SELECT id FROM customers WHERE merchant_id = $1 AND id = ANY($2::bigint[])
               ORDER BY id FOR KEY SHARE)
           INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)
           SELECT $1, held.id, tag, $4, $5 FROM held, unnest($3::text[]) AS tag
           ORDER BY held.id, tag
           ON CONFLICT (merchant_id, customer_id, tag) DO NOTHING
           RETURNING customer_id, tag""",
        w.merchant_id, list(customer_ids), check_tags(tags), source, w.now,
    )  # fmt: skip
    changed = _by_customer(rows)
    await log_each(w, "tag_added", changed.items(), "tags", {"source": source})
    return len(changed)


async def untag_customers(w: Work, customer_ids: Sequence[int], tags: Sequence[str]) -> int:
    """Take tags off customers and log it; one that is not there is no error.

    Returns how many customers lost a tag. Raises InvalidInput.
    """
    rows = await w.sql.fetch(
        """WITH held AS MATERIALIZED (
               SELECT id FROM customer_tags WHERE merchant_id = $1
                  AND customer_id = ANY($2::bigint[]) AND tag = ANY($3::text[])
               ORDER BY customer_id, tag FOR UPDATE)
           DELETE FROM customer_tags t USING held
           WHERE t.merchant_id = $1 AND t.id = held.id RETURNING t.customer_id, t.tag""",
        w.merchant_id, list(customer_ids), check_tags(tags),
    )  # fmt: skip
    changed = _by_customer(rows)
    await log_each(w, "tag_removed", changed.items(), "tags", {})
    return len(changed)


def _by_customer(rows: Sequence[Mapping[str, Any]]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for row in rows:
        found.setdefault(row["customer_id"], []).append(row["tag"])
    return found


async def missing_customers(
    session: Session,
    customer_ids: Sequence[int | None],
    most: int = MAX_CUSTOMERS,
    name: str = "ids",
) -> dict[int, HuikeError]:
    """An error for each place in the input's list whose id is no customer's.

    Raises InvalidInput for none or too many.
    """
    if not 1 <= len(customer_ids) <= most:
        raise InvalidInput(f"give 1 to {most} ids", ("input", name))
    rows = await session.sql.fetch(
        "SELECT id FROM customers WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        session.merchant_id, [one for one in customer_ids if one is not None],
    )  # fmt: skip
    known = {row["id"] for row in rows}
    return {
        place: no_customer(name, place)
        for place, customer_id in enumerate(customer_ids)
        if customer_id not in known
    }


def no_customer(name: str, place: int) -> NotFound:
    """The error of an id, at its place in the input's list."""
    return NotFound("there is no customer with this id", ("input", name, str(place)))


async def rename_tag(w: Work, tag: str, to: str) -> Retagged:
    """Rename a tag on all who have it; who has both keeps one.

    Raises NotFound, InvalidInput.
    """
    (new,) = check_tags([to], ("input", "to"))
    if new == tag:
        raise InvalidInput("the tag has this name already", ("input", "to"))
    return await _retag(w, tag, new)


async def delete_tag(w: Work, tag: str) -> Retagged:
    """Take a tag off all who have it. Raises NotFound."""
    return await _retag(w, tag, None)


async def _retag(w: Work, tag: str, to: str | None) -> Retagged:
    count = 0
    if _storable(tag):
        count = await w.sql.fetchval(
            "SELECT count(*) FROM customer_tags WHERE merchant_id = $1 AND tag = $2",
            w.merchant_id, tag,
        )  # fmt: skip
    if not count:
        raise NotFound("nobody has this tag", ("name",))
    if count > AT_ONCE:
        job_id = await jobs.enqueue(w, Retagging.name, {"tag": tag, "to": to}, count)
        return Retagged(count, job_id)
    return Retagged(await _retag_some(w, tag, to), None)


async def _retag_some(w: Work, tag: str, to: str | None) -> int:
    """Rename or delete the tag of up to AT_ONCE customers; returns of how many."""
    rows = await w.sql.fetch(
        """WITH held AS MATERIALIZED (
               SELECT id FROM customer_tags WHERE merchant_id = $1 AND tag = $2
               ORDER BY customer_id LIMIT $4 FOR UPDATE),
           old AS (
               DELETE FROM customer_tags t USING held WHERE t.merchant_id = $1 AND t.id = held.id
               RETURNING t.customer_id, t.source, t.created_at),
           new AS (
               INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)
               SELECT $1, customer_id, $3, source, created_at FROM old WHERE $3::text IS NOT NULL
               ORDER BY customer_id
               ON CONFLICT (merchant_id, customer_id, tag) DO NOTHING)
           SELECT customer_id FROM old""",
        w.merchant_id, tag, to, AT_ONCE,
    )  # fmt: skip
    ids = [row["customer_id"] for row in rows]
    if to is None:
        await log_event(w, ids, "tag_removed", {"tags": [tag]})
    else:
        await log_event(w, ids, "tag_renamed", {"from": tag, "to": to})
    return len(ids)


class Retagging:
    """The job that renames or deletes a tag of very many customers."""

    name = "customers.retag"

    async def run(self, db: Database, job: jobs.Job) -> dict[str, Any]:
        tag, to = job.params["tag"], job.params["to"]
        while True:
            async with job.step(db) as w:
                changed = await _retag_some(w, tag, to)
                job.done += changed
            if changed < AT_ONCE:
                return {"customers": job.done}
