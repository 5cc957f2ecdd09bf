"""Journeys that let people in again and again: those of a segment, or whose date it is."""

from calendar import isleap
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from core.domain.campaigns.campaigns import campaign_zone
from core.domain.campaigns.flows import BIRTHDAY, audience_rule
from core.domain.campaigns.journeys.asking import new_query
from core.domain.campaigns.journeys.audience import fulfilling_rule
from core.domain.campaigns.journeys.entering import enrol
from core.domain.campaigns.journeys.running import Journey, journeys
from core.domain.campaigns.planning import Recipients
from core.domain.segments.facets.dates import place_in_year, place_sql
from core.registry import Registry
from core.sdk.facets import Query
from core.sdk.flows import OnAudience, OnDate
from core.storage.database import Work


async def let_in_again(
    w: Work, registry: Registry, campaign_id: int, moments: Sequence[datetime]
) -> bool:
    """Let people in at moments of a journey's schedule, which are past or now.

    Returns False while the journey is just starting: it is to be tried again. Raises NotFound,
    Several.
    """
    found = await journeys(w, "r.campaign_id = $2 AND r.open", campaign_id)
    for journey in found:
        for moment in moments:
            if isinstance(journey.flow.trigger, OnDate):
                await _let_in_dates(w, registry, journey, journey.flow.trigger, moment)
            elif isinstance(journey.flow.trigger, OnAudience):
                await _let_in_segment(w, registry, journey, journey.flow.trigger, moment)
    return bool(found)


async def _let_in_segment(
    w: Work, registry: Registry, journey: Journey, trigger: OnAudience, moment: datetime
) -> None:
    rule = await audience_rule(w, trigger.segment_id)
    q, recipients = await fulfilling_rule(w, registry, rule)
    occasion = q.arg(int(moment.timestamp()), "bigint")
    await enrol(w, registry, q, journey, recipients, occasion)


async def _let_in_dates(
    w: Work, registry: Registry, journey: Journey, trigger: OnDate, moment: datetime
) -> None:
    """Each year counts as one occasion; a date that does not recur, as one for each such date."""
    zone = await campaign_zone(w, journey.shop_id)
    day = moment.astimezone(zone).date() + timedelta(days=trigger.days_before)
    q = await new_query(w)
    column, source = _dates(q, trigger.field)
    if trigger.yearly:
        test = f"{column} <= {q.arg(day, 'date')} AND {place_sql(column)} = ANY({_places(q, day)})"
    else:
        test = f"{column} = {q.arg(day, 'date')}"
    occasion = q.arg(day.year if trigger.yearly else day.toordinal(), "bigint")
    recipients = Recipients(f"{source} AND {test}")
    await enrol(w, registry, q, journey, recipients, occasion, at=moment)


def _dates(q: Query, field: str) -> tuple[str, str]:
    """The column of the date, and where it is of customer `c`."""
    if field == BIRTHDAY:
        return "c.birthday", "customers c WHERE c.merchant_id = $1"
    zone = q.arg(q.time_zone, "text")
    # dates are kept at midnight UTC, times are of the merchant's zone
    column = f"""(v.moment AT TIME ZONE CASE f.type WHEN 'date' THEN 'UTC' ELSE {zone} END)::date"""
    return (
        column,
        f"""custom_fields f
        JOIN custom_field_values v ON v.merchant_id = f.merchant_id AND v.field_id = f.id
        JOIN customers c ON c.merchant_id = v.merchant_id AND c.id = v.customer_id
        WHERE f.merchant_id = $1 AND f.namespace || '.' || f.key = {q.arg(field, "text")}
          AND v.moment IS NOT NULL""",
    )


def _places(q: Query, day: date) -> str:
    """The places that a day stands for: 28 February for the 29th where there is none."""
    places = [place_in_year(day)]
    if places == [228] and not isleap(day.year):
        places.append(229)
    return q.arg(places, "int[]")
