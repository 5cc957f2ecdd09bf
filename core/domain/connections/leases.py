"""Work on a shop that one worker at a time has claimed, for so long as it is heard of."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from core.sdk.connectors import Resource
from core.storage.database import Work

LEASE = timedelta(minutes=2)
TURN_SECONDS = 20.0
"""After so long what is being read lets others go first."""


class LeaseLost(Exception):
    """Another worker took over, because this one was silent for longer than its lease."""


@dataclass
class Claimed:
    """A row of `table` that says how far a resource was read, claimed by `owner`."""

    table: ClassVar[str]
    merchant_id: int
    id: int
    resource: Resource
    failures: int
    owner: str

    async def hold(self, w: Work, records: int) -> None:
        """Go on holding the lease, in a transaction that stores. Raises LeaseLost."""
        held = await w.sql.fetchval(
            f"""UPDATE {self.table} SET lease_until = $4, records = records + $5
                WHERE merchant_id = $1 AND id = $2 AND lease_owner = $3 RETURNING id""",
            w.merchant_id, self.id, self.owner, w.now + LEASE, records,
        )  # fmt: skip
        if held is None:
            raise LeaseLost
