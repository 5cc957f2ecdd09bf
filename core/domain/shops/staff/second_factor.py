"""Whether everybody who logs in by password needs a second factor."""

from core.sdk.errors import WrongState
from core.storage.database import Session, Work


async def second_factor_required(session: Session) -> bool:
    """Whether the merchant asks for one."""
    required: bool = await session.sql.fetchval(
        "SELECT second_factor_required FROM merchants WHERE id = $1", session.merchant_id
    )
    return required


async def require_second_factor(w: Work, required: bool, staff_id: int | None) -> None:
    """Ask for one from now on, or no longer; `staff_id` is who decides it, unless a program does.

    Who is logged in without one can only set one up from then on. Raises WrongState for somebody
    who would be locked out by it.
    """
    if required and staff_id is not None and await lacks_second_factor(w, staff_id, asked=True):
        raise WrongState("set up a second factor of your own first: `staffTotpEnrol`", ("input",))
    await w.sql.execute(
        "UPDATE merchants SET second_factor_required = $2 WHERE id = $1", w.merchant_id, required
    )
    # the rights of open connections end or begin with it
    await w.sql.execute(
        """SELECT pg_notify('huike', format('staff:%s:%s', merchant_id, id)) FROM staff
           WHERE merchant_id = $1 AND totp_since IS NULL""",
        w.merchant_id,
    )
    w.audit("staff.second_factor_set", {"required": required})


async def lacks_second_factor(session: Session, staff_id: int, asked: bool | None = None) -> bool:
    """Whether somebody who logged in by password has to set one up first.

    With `asked` as if the merchant asked for one, or did not.
    """
    lacks: bool = await session.sql.fetchval(
        """SELECT p.totp_since IS NULL AND p.password_hash IS NOT NULL
                  AND COALESCE($3, m.second_factor_required)
           FROM staff p JOIN merchants m ON m.id = p.merchant_id
           WHERE p.merchant_id = $1 AND p.id = $2""",
        session.merchant_id, staff_id, asked,
    )  # fmt: skip
    return lacks
