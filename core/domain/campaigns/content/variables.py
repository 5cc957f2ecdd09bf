"""What a template may name, and when: one list, from which the checks and the guide are made."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from core.sdk.flows import Flow, OnEvent

About = Literal["any", "order", "parcel"]
"""What a message must be about for a variable to have a value."""

ANY: frozenset[About] = frozenset({"any"})
EVERYTHING: frozenset[About] = frozenset({"any", "order", "parcel"})

FIELDS = "customer.fields."
"""What the names of custom fields begin with: customer.fields.custom.size."""


@dataclass(frozen=True)
class Variable:
    """A value that templates may name. A list's entries have `parts` and are gone through."""

    name: str
    meaning: str
    about: About = "any"
    parts: tuple[str, ...] = ()


VARIABLES = (
    Variable("customer.name", "The customer's name."),
    Variable("customer.province", "The customer's province, unless personalisation was refused."),
    Variable("customer.city", "The customer's city, unless personalisation was refused."),
    Variable("merchant.name", "The merchant's name."),
    Variable("shop.name", "The campaign's shop, or the merchant if it has none."),
    Variable("now", "The time of sending in the shop's zone, as 2026-06-15 09:30."),
    Variable("today", "The day of sending in the shop's zone, as 2026-06-15."),
    Variable("unsubscribe_url", "Where the customer unsubscribes from this channel."),
    Variable("preferences_url", "Where the customer sees and changes what was agreed to."),
    Variable("order.number", "The order's number on its platform.", "order"),
    Variable("order.shop", "The name of the order's shop.", "order"),
    Variable("order.total", "The order's total, as 199.00; see the filter `money`.", "order"),
    Variable("order.paid", "What was paid, as 199.00.", "order"),
    Variable("order.currency", "The order's currency, as CNY.", "order"),
    Variable("order.ordered_at", "When it was ordered, in the shop's zone.", "order"),
    Variable("order.paid_at", "When it was paid, in the shop's zone.", "order"),
    Variable("order.item_titles", "The articles' titles, joined by 、.", "order"),
    Variable("order.item_count", "How many articles there are, by quantity.", "order"),
    Variable("order.items", "The articles, to be gone through by `for`.", "order",
             ("title", "sku", "quantity", "amount")),
    Variable("order.parcel_count", "In how many parcels the order travels, as far as known.",
             "order"),
    Variable("parcel.tracking_number", "The parcel's tracking number.", "parcel"),
    Variable("parcel.carrier", "The parcel's carrier, as its platform names it.", "parcel"),
    Variable("parcel.number", "Which of the order's parcels it is, counted from 1.", "parcel"),
    Variable("parcel.count", "How many parcels the order has, as far as known.", "parcel"),
)  # fmt: skip

_LISTS = {one.name: one for one in VARIABLES if one.parts}


def flow_about(flow: Flow) -> frozenset[About]:
    """What the messages of a flow are about, by what lets customers in.

    A merchant's own event may name an order or not, which nobody knows when a text is written.
    """
    trigger = flow.trigger
    if not isinstance(trigger, OnEvent):
        return ANY
    if trigger.type.startswith("parcel."):
        return EVERYTHING
    if trigger.type.startswith(("order.", "refund.", "review.", "custom.")):
        return frozenset({"any", "order"})
    return ANY


def known_variables(
    fields: Collection[str] = (), about: Collection[About] = EVERYTHING
) -> frozenset[str]:
    """What templates may name where these custom fields exist and the message is about that."""
    return frozenset(one.name for one in VARIABLES if one.about in about) | {
        FIELDS + name for name in fields
    }


def base_name(name: str) -> str:
    """The variable that a path leads into: order.items for order.items.first.title."""
    for known in _LISTS:
        if name.startswith(known + "."):
            return known
    return name


def wants(names: Iterable[str], owner: str) -> bool:
    """Whether any of the variables belongs to `owner`, as order.number does to order."""
    return any(name.startswith(owner + ".") for name in names)


def no_value(name: str) -> str:
    """What a merchant is told of a variable without value."""
    return f"{name} has no value for this customer, and the text no default for it"
