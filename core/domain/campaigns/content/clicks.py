"""Clicks on tracked links: each hit is stored, and judged once it is known what came with it.

Mail scanners open every link of a message within moments of its arrival. So a hit is judged two
seconds later, together with those around it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from core.sdk.events import MessageClicked
from core.storage.database import Database, Session, Work

BURST = timedelta(seconds=2)
SOON = timedelta(minutes=10)
HITS_LIMIT = 1000
"""Hits stored of one message; what comes after is a machine's and is led on uncounted."""
GROUP = 1000

_MACHINES = re.compile(
    r"bot\b|bot/|crawl|spider|slurp|preview|scan|monitor|headless|phantom|externalhit|"
    r"barracuda|proofpoint|mimecast|symantec|trendmicro|ironport|fortinet|safelinks|"
    r"curl|wget|python|go-http-client|java/|libwww|httpclient|axios|node-fetch|ruby|perl",
    re.I,
)
_PREFETCHES = ("purpose", "sec-purpose", "x-purpose", "x-moz")


def is_machine(headers: Mapping[str, str]) -> bool:
    """Whether a request says by itself that no person made it; header names are lower case."""
    agent = headers.get("user-agent", "")
    ahead = any(re.search("prefetch|preview", headers.get(name, "")) for name in _PREFETCHES)
    return ahead or not agent or _MACHINES.search(agent) is not None


async def take_click(
    w: Work, delivery_id: int, number: int, machine: bool, count: bool = True
) -> str | None:
    """Where a message's link leads, after its click is stored; None if there is no such link."""
    url: str | None = await w.sql.fetchval(
        """WITH link AS (
               SELECT l.id, COALESCE(m.url, l.url) AS url FROM deliveries d
               LEFT JOIN message_links m ON m.merchant_id = d.merchant_id
                AND m.delivery_id = d.id AND m.number = $3
               JOIN tracked_links l ON l.merchant_id = d.merchant_id AND l.run_id = d.run_id
                AND l.step = d.step AND l.variant = d.variant AND l.number = COALESCE(m.link, $3)
               WHERE d.merchant_id = $1 AND d.id = $2),
           stored AS (
               INSERT INTO link_clicks (merchant_id, delivery_id, link_id, at, machine)
               SELECT $1, $2, link.id, $4, CASE WHEN $5 THEN TRUE END FROM link
               WHERE $6 AND (SELECT count(*) FROM link_clicks k
                             WHERE k.merchant_id = $1 AND k.delivery_id = $2) < $7)
           SELECT url FROM link""",
        w.merchant_id, delivery_id, number, w.now, machine, count, HITS_LIMIT,
    )  # fmt: skip
    return url


async def take_opening(w: Work, delivery_id: int) -> None:
    """Note that a message's picture was fetched, the first time."""
    await w.sql.execute(
        """UPDATE deliveries SET opened_at = $3
           WHERE merchant_id = $1 AND id = $2 AND opened_at IS NULL""",
        w.merchant_id, delivery_id, w.now,
    )  # fmt: skip


async def merchants_clicked(db: Database) -> list[int]:
    """The merchants with hits that can be judged now."""
    return await db.merchants(
        "SELECT DISTINCT merchant_id FROM link_clicks WHERE machine IS NULL AND at <= $1",
        db.clock() - BURST,
    )


async def judge_clicks(db: Database, merchant_id: int) -> None:
    """Tell machines' hits from people's; the first of a person is the message's click."""
    while await _judge_group(db, merchant_id) == GROUP:
        pass


async def _judge_group(db: Database, merchant_id: int) -> int:
    async with db.work(merchant_id) as w:
        judged = await w.sql.fetch(
            """WITH open AS MATERIALIZED (
                   SELECT id FROM link_clicks
                   WHERE merchant_id = $1 AND machine IS NULL AND at <= $2::timestamptz
                   ORDER BY at, id LIMIT $3 FOR UPDATE SKIP LOCKED)
               UPDATE link_clicks k SET machine =
                   k.at < COALESCE(d.sent_at, d.updated_at) + $4::interval
                   AND n.links > 1 AND n.links = (
                       SELECT count(DISTINCT o.link_id) FROM link_clicks o
                       WHERE o.merchant_id = $1 AND o.delivery_id = k.delivery_id
                         AND o.at BETWEEN k.at - $5::interval AND k.at + $5::interval)
               FROM open, deliveries d, LATERAL (
                   SELECT count(*) AS links FROM tracked_links l WHERE l.merchant_id = $1
                     AND l.run_id = d.run_id AND l.step = d.step AND l.variant = d.variant) n
               WHERE k.merchant_id = $1 AND k.id = open.id
                 AND d.merchant_id = $1 AND d.id = k.delivery_id
               RETURNING k.id, k.machine""",
            merchant_id, w.now - BURST, GROUP, SOON, BURST,
        )  # fmt: skip
        first = await w.sql.fetch(
            """UPDATE deliveries d SET clicked_at = f.at
               FROM (SELECT DISTINCT ON (delivery_id) delivery_id, at, link_id FROM link_clicks
                     WHERE merchant_id = $1 AND id = ANY($2::bigint[])
                     ORDER BY delivery_id, at, id) f, campaign_runs r
               WHERE d.merchant_id = $1 AND d.id = f.delivery_id AND d.clicked_at IS NULL
                 AND r.merchant_id = $1 AND r.id = d.run_id
               RETURNING d.id, d.customer_id, d.order_id, d.step, d.run_id, r.campaign_id,
                         f.link_id""",
            merchant_id, [row["id"] for row in judged if not row["machine"]],
        )  # fmt: skip
        for row in first:
            w.emit(MessageClicked(
                row["id"], row["customer_id"], row["order_id"], row["campaign_id"], row["run_id"],
                row["step"], row["link_id"],
            ))  # fmt: skip
    return len(judged)


@dataclass(frozen=True)
class LinkFigures:
    """What became of one link of a run: hits of people and of machines, and how many people."""

    step: int
    variant: int
    url: str
    clicks: int
    people: int
    machine_hits: int


async def link_figures(session: Session, run_id: int) -> list[LinkFigures]:
    """A run's links in the order of their texts; hits not yet judged are left out."""
    rows = await session.sql.fetch(
        """SELECT l.step, l.variant, l.url, count(k.id) FILTER (WHERE NOT k.machine) AS clicks,
                  count(DISTINCT k.delivery_id) FILTER (WHERE NOT k.machine) AS people,
                  count(k.id) FILTER (WHERE k.machine) AS machine_hits
           FROM tracked_links l
           LEFT JOIN link_clicks k ON k.merchant_id = l.merchant_id AND k.link_id = l.id
           WHERE l.merchant_id = $1 AND l.run_id = $2
           GROUP BY l.id, l.step, l.variant, l.number, l.url
           ORDER BY l.step, l.variant, l.number""",
        session.merchant_id, run_id,
    )  # fmt: skip
    return [LinkFigures(**row) for row in rows]
