"""A merchant's shop on the stand-in platform, and the workers that follow it."""

import json
import re
import types
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from core.builtin import completed
from core.domain.connections import backfill, following, inbox, upkeep
from core.domain.connections.connecting import connect_with_token
from core.domain.connections.due import shops_due
from core.domain.shops.plugins import enable_plugin
from core.registry import Owned
from core.sdk import Token
from tests.connections.stand_in import KEY, SECRET

REACH = 4
GUIDE = Path(__file__).parents[2] / "docs/plugins/connectors.md"


def fair_plugin():
    """The plugin that the guide shows, as it stands there."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.M | re.S)
    module = types.ModuleType("fair")
    exec(compile(code, str(GUIDE), "exec"), module.__dict__)
    return module.plugin


async def installed(merchant, plugin, url):
    """The merchant's installation with the plugin switched on.

    Without budgets: the tests' clock stands still, and so would a bucket. Of the past a few days
    are enough.
    """
    installation = merchant.installation
    (connector,) = plugin.connectors()
    connector.budgets = ()
    connector.resources = {
        resource: replace(sync, reach=timedelta(days=REACH))
        for resource, sync in connector.resources.items()
    }
    registry = replace(
        installation.registry,
        manifests={**installation.registry.manifests, "fair": plugin.manifest},
        connectors={connector.name: Owned("fair", connector)},
        facets={name: one for name, one in installation.registry.facets.items()
                if name != "reachable"},
    )  # fmt: skip
    registry = completed(registry)
    settings = {"url": url, "key": KEY, "secret": SECRET}
    await enable_plugin(installation.db, merchant.id, registry, "fair", settings)
    return replace(installation, registry=registry)


@dataclass
class FairShop:
    merchant: Any
    fair: Any
    installation: Any
    id: int = 0

    @property
    def db(self):
        return self.installation.db

    @property
    def registry(self):
        return self.installation.registry

    async def connect(self, **token):
        self.id = await connect_with_token(
            self.db, self.registry, self.merchant.id, "fair", Token("good", **token)
        )
        return self.id

    async def do(self, name):
        """One duty, whether it is due or not."""
        duties = {
            "shops.upkeep": upkeep.look_after, "shops.fetch": inbox.fetch_due,
            "shops.sync": following.follow_shop, "shops.backfill": backfill.read_past,
        }  # fmt: skip
        await duties[name](self.db, self.registry, self.merchant.id, self.id)

    async def work(self, *only):
        """Do what is due until nothing is, as a worker would; returns the duties done."""
        done = []
        for _ in range(50):
            found = [
                name
                for name, merchant_id, _ in await shops_due(self.db, self.registry)
                if merchant_id == self.merchant.id and (not only or name in only)
            ]
            if not found:
                return done
            for name in found:
                await self.do(name)
                done.append(name)
        raise AssertionError(f"the work does not end: {done[-10:]}")

    def later(self, **step):
        self.merchant.clock.move(timedelta(**step))

    async def pass_time(self, minutes, step=1):
        for _ in range(0, minutes, step):
            self.later(minutes=step)
            await self.work()

    async def ask(self, statement, *args):
        async with self.merchant.read() as session:
            return await session.sql.fetch(statement, self.merchant.id, *args)

    async def orders(self):
        rows = await self.ask(
            "SELECT external_id, platform_state FROM orders WHERE merchant_id = $1"
        )
        return {row["external_id"]: row["platform_state"] for row in rows}

    async def events(self):
        """(type, order, state) of the events so far, in order."""
        rows = await self.ask(
            """SELECT e.type, e.payload, o.external_id FROM outbox_events e
               LEFT JOIN orders o ON o.merchant_id = e.merchant_id
                                 AND o.id = (e.payload ->> 'order_id')::bigint
               WHERE e.merchant_id = $1 AND (e.type LIKE 'order.%' OR e.type LIKE 'refund.%')
               ORDER BY e.id"""
        )
        return [
            (row["type"], row["external_id"], json.loads(row["payload"])["state"])
            for row in rows
        ]  # fmt: skip

    async def connection(self):
        (row,) = await self.ask("SELECT * FROM shop_connections WHERE merchant_id = $1")
        return row

    async def problems(self):
        rows = await self.ask(
            """SELECT problem FROM sync_cursors WHERE merchant_id = $1 AND problem IS NOT NULL
               UNION ALL
               SELECT problem FROM sync_slices WHERE merchant_id = $1 AND problem IS NOT NULL
               UNION ALL
               SELECT problem FROM shop_connections
               WHERE merchant_id = $1 AND problem IS NOT NULL"""
        )
        return [row["problem"] for row in rows]
