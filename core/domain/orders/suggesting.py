"""Finding pairs of customers that may be one person, over all customers at once.

Contact data is compared by its blind index alone, and never quoted. More customers with one phone
or email than `GROUP_LIMIT` are no pairs: that number is a reseller's or a made-up one.
"""

from typing import Any

from core.domain.customers.suggestions import add_suggestions, rejected_pairs
from core.storage.database import Database, Work
from core.storage.jobs import Job

GROUP_LIMIT = 10

RULES = ("same_phone", "same_email", "same_name_place_parcel")


class SuggestMerges:
    """The job that looks for pairs, one rule a step. Pairs that were decided are left alone."""

    name = "customers.suggest"

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        job.total = len(RULES) + 1
        while job.done < len(RULES):
            async with job.step(db) as w:
                pairs = await _pairs(w, RULES[job.done])
                found = await _add(w, pairs, RULES[job.done])
                job.checkpoint = {"found": job.checkpoint.get("found", 0) + found}
                job.done += 1
        if job.done < job.total:
            async with job.step(db) as w:
                await _drop_outdated(w)
                job.done += 1
        return {"found": job.checkpoint.get("found", 0)}


async def _add(w: Work, pairs: list[tuple[int, int]], reason: str) -> int:
    apart = await rejected_pairs(w, [customer_id for pair in pairs for customer_id in pair])
    return await add_suggestions(w, [(*pair, reason) for pair in pairs if pair not in apart])


async def _pairs(w: Work, rule: str) -> list[tuple[int, int]]:
    """The pairs that a rule fits, the lower id first."""
    if rule == "same_name_place_parcel":
        return await _pairs_of_parcels(w)
    index = "phone_index" if rule == "same_phone" else "email_index"
    rows = await w.sql.fetch(
        f"""WITH shared AS MATERIALIZED (
                SELECT {index} AS value FROM customers
                WHERE merchant_id = $1 AND {index} IS NOT NULL
                GROUP BY {index} HAVING count(*) BETWEEN 2 AND $2)
            SELECT a.id, b.id FROM shared
            JOIN customers a ON a.merchant_id = $1 AND a.{index} = shared.value
            JOIN customers b ON b.merchant_id = $1 AND b.{index} = shared.value AND a.id < b.id""",
        w.merchant_id, GROUP_LIMIT,
    )  # fmt: skip
    return [(row[0], row[1]) for row in rows]


async def _pairs_of_parcels(w: Work) -> list[tuple[int, int]]:
    rows = await w.sql.fetch(
        """WITH shared AS MATERIALIZED (
               SELECT tracking_number FROM parcels WHERE merchant_id = $1
               GROUP BY tracking_number HAVING count(*) BETWEEN 2 AND $2),
           owners AS MATERIALIZED (
               SELECT DISTINCT p.tracking_number, c.id, lower(c.name) AS name, c.province, c.city
               FROM shared JOIN parcels p
                    ON p.merchant_id = $1 AND p.tracking_number = shared.tracking_number
               JOIN orders o ON o.merchant_id = $1 AND o.id = p.order_id
               JOIN customers c ON c.merchant_id = $1 AND c.id = o.customer_id
               WHERE c.name IS NOT NULL AND c.province IS NOT NULL)
           SELECT DISTINCT a.id, b.id FROM owners a JOIN owners b
                ON b.tracking_number = a.tracking_number AND a.id < b.id AND b.name = a.name
               AND b.province = a.province AND b.city IS NOT DISTINCT FROM a.city""",
        w.merchant_id, GROUP_LIMIT,
    )  # fmt: skip
    return [(row[0], row[1]) for row in rows]


async def _drop_outdated(w: Work) -> None:
    """Forget open suggestions whose only reason was a contact that the two no longer share."""
    await w.sql.execute(
        """DELETE FROM merge_suggestions s USING customers a, customers b
           WHERE s.merchant_id = $1 AND s.state = 'open' AND a.merchant_id = $1
             AND a.id = s.first_id AND b.merchant_id = $1 AND b.id = s.second_id
             AND (s.reasons = '["same_phone"]' AND a.phone_index IS DISTINCT FROM b.phone_index
                  OR s.reasons = '["same_email"]'
                     AND a.email_index IS DISTINCT FROM b.email_index)""",
        w.merchant_id,
    )  # fmt: skip
