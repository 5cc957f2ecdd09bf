"""The stand-in of the AliExpress open platform, served on loopback."""

from contextlib import asynccontextmanager

from aiohttp.test_utils import TestServer

from tests.stand_ins.aliexpress import (
    accounts,
    coupons,
    evaluations,
    issues,
    messages,
    orders,
)
from tests.stand_ins.aliexpress.gateway import Gateway
from tests.stand_ins.aliexpress.world import World

SERVICES = (accounts, coupons, evaluations, issues, messages, orders)


@asynccontextmanager
async def serve(clock):
    """A world, and the address of its gateway as `world.url`."""
    world = World(clock)
    server = TestServer(Gateway(world).application())
    await server.start_server()
    world.url = str(server.make_url("")).rstrip("/")
    try:
        yield world
    finally:
        await server.close()
