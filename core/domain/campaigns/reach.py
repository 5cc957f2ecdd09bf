"""How many of a rule's customers a marketing message would reach, channel by channel."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from core.domain.campaigns.policy import address_of, skip_reason_sql
from core.domain.segments.measures import Counts, Measure, Within
from core.domain.segments.preview import MEASURES
from core.domain.segments.rules import Rule, cheapest
from core.domain.shops.plugins import enabled_plugins
from core.registry import CORE, Registry
from core.sdk.channels import Channel
from core.storage.database import Session

REACHED = "reached"


@dataclass(frozen=True)
class ChannelReach:
    """How many would get a marketing message by a channel now, and how many not, by reason."""

    channel: Channel
    reached: int
    skipped: dict[str, int]


async def count_reach(session: Session, registry: Registry, rule: Rule, within: Within) -> Counts:
    """Of the rule's customers, those reached and those skipped for each reason, by channel."""
    channels = await _usable_channels(session, registry)
    if not channels:
        return Counter()
    asked = await cheapest(session, rule, within)
    q = asked.q
    reasons = []
    for channel in channels:
        name = q.arg(channel.name, "text")
        address = address_of(channel, q.arg, None)
        reasons.append(f"({name}, {skip_reason_sql(address, 'marketing', name, None)})")
    rows = await session.sql.fetch(
        f"""SELECT r.channel, COALESCE(r.reason, '{REACHED}') AS reason, count(*) AS n
            FROM {q.source} CROSS JOIN LATERAL (VALUES {", ".join(reasons)}) r (channel, reason)
            WHERE {q.base} AND {asked.condition} GROUP BY 1, 2""",
        *q.args,
    )
    found = {f"reach.{row['channel']}.{row['reason']}": row["n"] for row in rows}
    return Counter({f"reach.{one.name}.{REACHED}": 0 for one in channels} | found)


async def _usable_channels(session: Session, registry: Registry) -> Sequence[Channel]:
    """The channels of the plugins that the merchant has switched on."""
    enabled = await enabled_plugins(session)
    return [
        owned.value for _, owned in sorted(registry.channels.items())
        if owned.plugin == CORE or owned.plugin in enabled
    ]  # fmt: skip


def reach_of(registry: Registry, counts: Counts) -> list[ChannelReach]:
    """The channels with the figures that `count_reach` found."""
    return [
        _reach(owned.value, counts)
        for name, owned in sorted(registry.channels.items())
        if f"reach.{name}.{REACHED}" in counts
    ]


def _reach(channel: Channel, counts: Counts) -> ChannelReach:
    head = f"reach.{channel.name}."
    found = {name.removeprefix(head): n for name, n in counts.items() if name.startswith(head)}
    return ChannelReach(channel, found.pop(REACHED), found)


PREVIEW: dict[str, Measure] = {**MEASURES, "reach": count_reach}
"""All that a preview can be asked for."""
