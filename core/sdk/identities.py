"""Ids under which a platform, an app or the merchant knows a person."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from core.sdk.errors import InvalidInput

Scope = Literal["shop", "app", "merchant", "global"]

CONTACT_KINDS = ("phone", "email")
REFUSED_KINDS = frozenset({"oaid"})
"""Kinds that name an order's receiver or one order, not a person."""

KIND_LIMIT = 40
VALUE_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Identity:
    """One id of a person, unique within its scope.

    `scope_id` is the shop's id for "shop", `app_scope_id(app_key)` for "app", and 0 for
    "merchant" and "global". `kind` names the id as its platform does, such as "ouid" or "omid".

    The kinds "phone" (E.164) and "email" (lower case) have scope "merchant". They mean a contact
    that the customer gave to the merchant himself, in a form or in the merchant's own shop; what
    stands on an order as its receiver's is none.

    Raises InvalidInput for a kind that is refused or out of its scope.
    """

    scope: Scope
    scope_id: int
    kind: str
    value: str

    def __post_init__(self) -> None:
        if self.kind in REFUSED_KINDS:
            raise InvalidInput(
                f"an id of kind {self.kind} belongs to an order's receiver, not to a person: "
                "leave it out"
            )
        if (self.scope in ("shop", "app")) != (self.scope_id > 0):
            raise InvalidInput(
                "an identity of scope shop or app has the id of its scope, others have 0"
            )
        if self.kind in CONTACT_KINDS and self.scope != "merchant":
            raise InvalidInput(f"an identity of kind {self.kind} has scope merchant")
        if not (1 <= len(self.kind) <= KIND_LIMIT and 1 <= len(self.value) <= VALUE_LIMIT):
            raise InvalidInput(
                f"an identity has a kind of 1 to {KIND_LIMIT} and a value of 1 to "
                f"{VALUE_LIMIT} characters"
            )


def app_scope_id(app_key: str) -> int:
    """The scope id of an app's ids: a number below 2^63, always the same for one key."""
    digest = blake2b(app_key.encode(), digest_size=8, person=b"huike.app").digest()
    return int.from_bytes(digest) >> 1 or 1
