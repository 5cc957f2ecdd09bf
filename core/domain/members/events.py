"""Points for what customers do beside buying: reviews, sign-ins, and the like."""

from core.domain.customers.customers import get_customer
from core.domain.members.membership import find_membership
from core.domain.members.points import CUSTOMER, Lot, give, lock
from core.domain.members.programme import get_programme
from core.sdk.errors import Faults, HuikeError, WrongState
from core.sdk.facets import midnight
from core.storage.database import Work


class EarningLimit(HuikeError):
    code = "EARNING_LIMIT"
    cause = "The customer has had the points of this rule as often as it allows."
    cure = "Try again on the next day, or raise the rule's limit."
    retryable = True


async def earn_by_event(w: Work, customer_id: int, key: str, reason: str | None = None) -> int:
    """Give the points of the event rule named `key`; returns the entry's id.

    Raises WrongState for who is no member, InvalidInput for an unknown rule, EarningLimit.
    """
    programme, faults = await get_programme(w), Faults()
    with faults:
        await get_customer(w, customer_id, path=CUSTOMER)
    known = {rule.key: rule for rule in programme.rules.points.events}
    rule = known.get(key)
    if rule is None:
        there_are = ", ".join(sorted(known)) or "none"
        faults.wrong(f"there is no event rule {key!r}; there are: {there_are}", "rule")
    faults.tell()
    assert rule is not None
    # one at a time for each customer, so that none slips past a limit
    await lock(w, [customer_id])
    if await find_membership(w, customer_id) is None:
        raise WrongState("the customer is not a member", CUSTOMER)
    today = midnight(w.now.astimezone(programme.zone).date(), programme.zone)
    had = await w.sql.fetchrow(
        """SELECT count(*) AS in_all, count(*) FILTER (WHERE at >= $4) AS today
           FROM points_entries WHERE merchant_id = $1 AND customer_id = $2 AND rule = $3 AND lot""",
        w.merchant_id, customer_id, f"event.{key}", today,
    )  # fmt: skip
    for allowed, so_far, when in (
        (rule.per_day, had["today"], "a day"), (rule.in_all, had["in_all"], "in all"),
    ):  # fmt: skip
        if allowed is not None and so_far >= allowed:
            raise EarningLimit(f"{key} gives points {allowed} times {when}", ("input", "rule"))
    expires_at = programme.rules.points.expiry.after(w.now, programme.zone)
    lot = Lot(
        customer_id, rule.points, w.now, expires_at, rule=f"event.{key}", reason=reason
    )  # fmt: skip
    (entry_id,) = await give(w, "earn", [lot])
    return entry_id
