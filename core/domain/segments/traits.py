"""In what a segment differs from everybody else, found by comparing shares of every attribute.

The difference of a share inside from that outside is judged by the two-proportion z test: with a
of n inside and b of N in all, z = (a N - b n) / sqrt(b (N - b) n (N - n) / N). Traits are ranked
by it: by how sure they are, which is neither the greatest factor (of very few) nor the greatest
share (of what everybody has).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from core.domain.segments.rules import Rule, cheapest, read_rule
from core.domain.segments.segments import get_segment
from core.domain.segments.trait_sources import TraitSource, trait_sources
from core.registry import Registry
from core.sdk.errors import Faults, Several, WrongState
from core.sdk.facets import Text
from core.storage import jobs
from core.storage.database import Database, Session, Work

KIND = "segment.traits"
MOST = 100
SMALLEST = 30
"""Of fewer customers nothing can be told."""
FEWEST = 10
"""So many must be found inside, or be expected there and missing."""
OF_ONE = 5
"""So many values of one attribute are shown at most, so that none crowds out the others."""
SURE = 4
"""A |z| so great that of thousands of values hardly one gets there by chance."""

COMPARED = """
    SELECT value, inside, everybody, z
    FROM (SELECT v.value, count(m.id) AS inside, count(*) AS everybody
          FROM ({rows}) v LEFT JOIN trait_members m ON m.id = v.customer_id
          GROUP BY v.value) counted
    CROSS JOIN LATERAL (
        SELECT (inside * {all}::float8 - everybody * {size}::float8) / NULLIF(sqrt(
            everybody * ({all}::float8 - everybody) / {all} * {size}::float8 * ({all} - {size})
        ), 0) AS z) judged
    WHERE abs(z) >= {sure}
      AND greatest(inside, everybody * {size}::float8 / {all}) >= {fewest}
    ORDER BY abs(z) DESC, value
    LIMIT {limit}
"""


@dataclass(frozen=True)
class Trait:
    """A value that is more or less frequent inside: customers with it inside and in all.

    `z` is positive for more; see the module.
    """

    source: str
    title: Text
    value: str
    label: Text
    inside: int
    everybody: int
    z: float


@dataclass(frozen=True)
class Traits:
    """What was found at an instant, the surest first; `enough` is False for too few customers."""

    at: datetime
    size: int
    everybody: int
    enough: bool
    traits: Sequence[Trait]

    def described(self) -> dict[str, Any]:
        """As JSON values; a text is [English, Chinese]."""
        texts = [{"title": list(one.title), "label": list(one.label)} for one in self.traits]
        traits = [asdict(one) | text for one, text in zip(self.traits, texts, strict=True)]
        return {**vars(self), "at": self.at.isoformat(), "traits": traits}


async def start_traits(
    w: Work,
    registry: Registry,
    limit: int,
    *,
    segment_id: int | None = None,
    stored: Mapping[str, Any] | None = None,
) -> int:
    """Begin the job that compares a segment, or whom a stored rule matches; returns its id.

    Raises NotFound, InvalidInput, Several of InvalidInput.
    """
    faults = Faults()
    if not 1 <= limit <= MOST:
        faults.wrong(f"limit must be from 1 to {MOST}", "limit")
    if (segment_id is None) == (stored is None):
        faults.wrong("give either segmentId or rule", "segmentId")
    with faults:
        if segment_id is not None:
            stored = (await get_segment(w, segment_id, ("input", "segmentId")))["rule"]
        if stored is not None:
            await read_rule(w, registry, stored)
    faults.tell()
    params = {"rule": stored, "limit": limit, "at": w.now.isoformat()}
    return await jobs.enqueue(w, KIND, params)


class SegmentTraits:
    """The job: one source after the other, all on the same state of the database.

    One that was killed begins anew.
    """

    name = KIND

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def run(self, db: Database, job: jobs.Job) -> dict[str, Any]:
        """Compare; the result are the `Traits` as they describe themselves."""
        at = datetime.fromisoformat(job.params["at"])
        async with (
            db.read(job.merchant_id) as session,
            # several statements, one snapshot, and the table goes with the transaction
            session.sql.transaction(isolation="repeatable_read"),
        ):
            rule = replace(await self._rule(session, job), now=at)
            sources = await trait_sources(session)
            job.done, job.total = 0, len(sources)
            size, everybody = await _gather(session, rule)
            enough = SMALLEST <= size < everybody
            found: list[Trait] = []
            for source in sources:
                async with job.step(db):
                    job.done += 1
                if enough:
                    found += await _compare(session, rule, source, size, everybody)
            best = sorted(found, key=lambda one: (-abs(one.z), one.source, one.value))
            best = await _labelled(session, sources, best[: job.params["limit"]])
        return Traits(at, size, everybody, enough, best).described()

    async def _rule(self, session: Session, job: jobs.Job) -> Rule:
        try:
            return await read_rule(session, self._registry, job.params["rule"])
        except Several as error:
            raise WrongState(f"the rule can no longer be asked: {error}") from None


async def _gather(session: Session, rule: Rule) -> tuple[int, int]:
    """Put the segment's customers into a table of this transaction; (its size, everybody)."""
    asked = await cheapest(session, rule)
    await session.sql.execute(
        f"CREATE TEMPORARY TABLE trait_members ON COMMIT DROP AS SELECT c.id {asked.matching}",
        *asked.q.args,
    )
    await session.sql.execute("ANALYZE trait_members")
    size = await session.sql.fetchval("SELECT count(*) FROM trait_members")
    everybody = await session.sql.fetchval(
        "SELECT count(*) FROM customers WHERE merchant_id = $1", session.merchant_id
    )
    return size, everybody


async def _compare(
    session: Session, rule: Rule, source: TraitSource, size: int, everybody: int
) -> list[Trait]:
    q = rule.query()
    statement = COMPARED.format(
        rows=source.rows(q), all=q.arg(everybody, "bigint"), size=q.arg(size, "bigint"),
        sure=SURE, fewest=FEWEST, limit=OF_ONE,
    )  # fmt: skip
    return [
        Trait(
            source.name, source.title, row["value"], Text(row["value"], row["value"]),
            row["inside"], row["everybody"], round(row["z"], 2),
        )
        for row in await session.sql.fetch(statement, *q.args)
    ]  # fmt: skip


async def _labelled(
    session: Session, sources: Sequence[TraitSource], traits: Sequence[Trait]
) -> list[Trait]:
    labels: dict[tuple[str, str], Text] = {}
    for source in sources:
        wanted = [trait.value for trait in traits if trait.source == source.name]
        labels |= {(source.name, value): text for value, text in source.values.items()}
        if wanted and source.names:
            rows = await session.sql.fetch(source.names, session.merchant_id, wanted)
            labels |= {(source.name, row["value"]): Text(row["name"], row["name"]) for row in rows}
    return [replace(one, label=labels.get((one.source, one.value), one.label)) for one in traits]
