"""Messages of which nobody knows whether they were sent, settled by hand."""

from collections.abc import Sequence
from typing import Literal

from core.domain.campaigns.ledger import Verdict, resolve
from core.sdk.errors import HuikeError, InvalidInput, NotFound, Several, WrongState
from core.storage.database import Work

MAX_SETTLED = 500

Decision = Literal["sent", "send_again"]


async def settle_deliveries(
    w: Work, delivery_ids: Sequence[int], decision: Decision, *, go_on: bool = False
) -> dict[int, HuikeError]:
    """Decide that unknown messages were sent, or are sent again; all of them or none.

    Who decides that they are sent again bears that somebody gets one twice. With `go_on` those
    are settled that can be, and the errors of the others returned by their places. Raises Several
    of NotFound and WrongState, InvalidInput.
    """
    if len(delivery_ids) > MAX_SETTLED:
        raise InvalidInput(f"at most {MAX_SETTLED} messages at once", ("input", "ids"))
    rows = await w.sql.fetch(
        """SELECT d.id, d.state, r.state AS run_state FROM deliveries d
           JOIN campaign_runs r ON r.merchant_id = d.merchant_id AND r.id = d.run_id
           WHERE d.merchant_id = $1 AND d.id = ANY($2::bigint[]) ORDER BY d.id FOR UPDATE OF d""",
        w.merchant_id, list(delivery_ids),
    )  # fmt: skip
    found = {row["id"]: row for row in rows}
    errors: dict[int, HuikeError] = {}
    for place, delivery_id in enumerate(delivery_ids):
        path = ("input", "ids", place)
        row = found.get(delivery_id)
        if row is None:
            errors[place] = NotFound("there is no message with this id", path)
        elif row["state"] != "unknown":
            errors[place] = WrongState(f"the message is {row['state']}, not unknown", path)
        elif decision == "send_again" and row["run_state"] == "cancelled":
            errors[place] = WrongState("its campaign was cancelled", path)
    if errors and not go_on:
        raise Several(list(errors.values()))
    right = {one for place, one in enumerate(delivery_ids) if place not in errors}
    state = "sent" if decision == "sent" else "pending"
    await resolve(w, [Verdict(one, state, detail="settled by hand") for one in sorted(right)])
    w.audit("deliveries.settled", {"ids": sorted(right), "decision": decision})
    return errors
