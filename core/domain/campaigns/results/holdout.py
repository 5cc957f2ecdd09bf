"""Who gets nothing, so that one can see what a campaign adds.

A campaign holds the same customers out in all its runs, and each campaign others.
"""

from dataclasses import dataclass

from core.domain.campaigns import chance
from core.sdk.facets import Query
from core.sdk.flows import Options

HOLDOUT = "holdout"
"""Why a message was skipped, or an enrolment left."""


@dataclass(frozen=True)
class Holdout:
    """A share of a campaign's customers, in percent."""

    campaign_id: int
    percent: int

    def has(self, customer_id: int) -> bool:
        """Whether the customer is held out."""
        return chance.share(customer_id, self._salt) < self._end

    def reason_sql(self, q: Query, customer: str) -> str:
        """'holdout' or NULL, as SQL of an expression with the customer's id."""
        place = chance.share_sql(customer, q.arg(self._salt, "text"))
        return f"CASE WHEN {place} < {q.arg(self._end, 'bigint')} THEN '{HOLDOUT}' END"

    @property
    def _salt(self) -> str:
        return chance.salt(self.campaign_id, HOLDOUT)

    @property
    def _end(self) -> int:
        return self.percent * chance.PARTS // 100


def holdout_of(campaign_id: int, options: Options) -> Holdout | None:
    """The campaign's holdout, None without one."""
    percent = options.holdout_percent
    return Holdout(campaign_id, percent) if percent else None
