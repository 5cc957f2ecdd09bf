"""A platform without a network, so that every operation on connections has a shop to name."""

from dataclasses import replace
from datetime import timedelta

from core.domain.connections.connecting import connect
from core.domain.connections.dead_letters import bury
from core.domain.connections.opening import platform_of
from core.registry import Owned
from core.sdk import (
    Authorised,
    Broken,
    Manifest,
    Resource,
    Sync,
    Text,
    Token,
)


class Shelf:
    name = "shelf"
    title = Text("Shelf", "货架")
    identity_kind = "shelf_buyer"
    budgets = ()

    def __init__(self):
        self.resources = {Resource.ORDERS: Sync(reach=timedelta(days=2))}

    def open(self, settings, shop, meter):
        raise AssertionError("no operation calls a platform for a shop")

    def authorise_url(self, settings, state, callback):
        return f"https://shelf.example/?state={state}&back={callback}"

    async def exchange(self, settings, code, callback):
        return Authorised(code, "Shelf", Token("t"))

    async def refresh(self, settings, token):
        return token

    async def verify(self, settings, token):
        return Authorised(token.access, "Shelf", token)


def with_shelf(installation):
    """The installation with the plugin, which every new merchant has on."""
    registry = installation.registry
    manifest = Manifest("shelf", "Shelf", "1.0", ">=0.1")
    registry = replace(
        registry,
        manifests={**registry.manifests, "shelf": manifest},
        connectors={**registry.connectors, "shelf": Owned("shelf", Shelf())},
    )
    return replace(installation, registry=registry)


async def connected_shop(w, registry):
    """(shop, dead letter, deed of unknown end) of a shop that is connected."""
    platform = await platform_of(w, registry, "shelf")
    shop_id = await connect(w, platform, Authorised("s1", "Shelf", Token("t")))
    await bury(w, shop_id, Resource.ORDERS, [Broken("7", "no state", '{"id": 7}')])
    letter = await w.sql.fetchval(
        "SELECT id FROM dead_letters WHERE merchant_id = $1", w.merchant_id
    )
    deed = await w.sql.fetchval(
        """INSERT INTO platform_deeds (merchant_id, shop_id, key, action, subject, count, about,
                                       state, reason, at)
           VALUES ($1, $2, 'k1', 'GiveCoupon', 'C9', 1, '[]', 'unknown', 'no answer', $3)
           RETURNING id""",
        w.merchant_id, shop_id, w.now,
    )  # fmt: skip
    return shop_id, letter, deed
