"""Who makes a request, and what he may do."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Caller:
    """A program with its token, or a member of staff with a session.

    `until` is when the rights end unless something ends them before; None: they do not by
    themselves. `proof` is the hash of a token's secret as it was presented. `acting` names what
    acts with rights that somebody gave it, such as "webhook:3". Who `lacks_factor` has no rights
    until a second factor is set up.
    """

    merchant_id: int
    permissions: frozenset[str]
    token_id: int | None = None
    staff_id: int | None = None
    session_id: int | None = None
    until: datetime | None = None
    proof: bytes = field(default=b"", repr=False, compare=False)
    acting: str | None = None
    lacks_factor: bool = False

    @property
    def actor(self) -> str:
        """How the caller is named in logs."""
        if self.acting is not None:
            return self.acting
        return f"token:{self.token_id}" if self.staff_id is None else f"staff:{self.staff_id}"

    @property
    def topic(self) -> tuple[str, int]:
        """The signal that tells of every change of these rights; see core.storage.signals."""
        if self.staff_id is not None:
            return "staff", self.staff_id
        assert self.token_id is not None
        return "token", self.token_id
