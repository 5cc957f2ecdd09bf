"""Ids of customers, added and taken away by staff."""

from core.domain.customers.contacts import is_masked
from core.domain.customers.customers import get_customer
from core.domain.customers.identify import lock_customers
from core.domain.customers.log import log_event
from core.domain.shops.shops import need_shop
from core.sdk.errors import Faults, HuikeError, InvalidInput, NotFound
from core.sdk.identities import CONTACT_KINDS, Identity
from core.storage.database import Work


class IdentityTaken(HuikeError):
    """The id leads to another customer, `customer_id`."""

    code = "IDENTITY_TAKEN"
    cause = "The id leads to another customer already."
    cure = "Merge the two customers, or take the id away from the other one first."

    def __init__(self, customer_id: int) -> None:
        super().__init__(f"this id leads to customer {customer_id} already", ("input", "value"))
        self.customer_id = customer_id


async def add_identity(w: Work, customer_id: int, identity: Identity) -> None:
    """Let an id lead to a customer; one that does so already is no error.

    Raises NotFound, CustomerMerged, InvalidInput, Several, IdentityTaken.
    """
    faults = Faults()
    if identity.kind in CONTACT_KINDS:
        faults.wrong("change phone and email with customerUpdate", "kind")
    if is_masked(identity.value):
        faults.wrong("a masked value stands for many people", "value")
    if identity.scope == "shop":
        with faults:
            await need_shop(w, identity.scope_id)
    await lock_customers(w)
    with faults:
        await get_customer(w, customer_id)
    faults.tell()
    added = await w.sql.fetchval(
        """INSERT INTO customer_identities
               (merchant_id, customer_id, scope, scope_id, kind, value, source, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, 'staff', $7)
           ON CONFLICT (merchant_id, scope, scope_id, kind, value) DO NOTHING RETURNING id""",
        w.merchant_id, customer_id, identity.scope, identity.scope_id, identity.kind,
        identity.value, w.now,
    )  # fmt: skip
    if added is not None:
        data = {"identity": added, "scope": identity.scope, "kind": identity.kind}
        await log_event(w, [customer_id], "identity_added", data)
        return
    owner = await w.sql.fetchval(
        """SELECT customer_id FROM customer_identities WHERE merchant_id = $1 AND scope = $2
              AND scope_id = $3 AND kind = $4 AND value = $5""",
        w.merchant_id, identity.scope, identity.scope_id, identity.kind, identity.value,
    )  # fmt: skip
    if owner != customer_id:
        raise IdentityTaken(owner)


async def remove_identity(w: Work, customer_id: int, identity_id: int) -> None:
    """Let an id lead to nobody; orders that came through it stay.

    Raises NotFound, CustomerMerged, InvalidInput.
    """
    await lock_customers(w)
    await get_customer(w, customer_id)
    row = await w.sql.fetchrow(
        """SELECT scope, kind FROM customer_identities
           WHERE merchant_id = $1 AND id = $2 AND customer_id = $3""",
        w.merchant_id, identity_id, customer_id,
    )  # fmt: skip
    if row is None:
        raise NotFound("the customer has no such identity", ("input", "identity"))
    if row["kind"] in CONTACT_KINDS:
        raise InvalidInput("change phone and email with customerUpdate", ("input", "identity"))
    await w.sql.execute(
        "DELETE FROM customer_identities WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, identity_id,
    )  # fmt: skip
    data = {"identity": identity_id, "scope": row["scope"], "kind": row["kind"]}
    await log_event(w, [customer_id], "identity_removed", data)
