"""The stand-in of the Taobao Open Platform, served on loopback."""

from contextlib import asynccontextmanager

from aiohttp.test_utils import TestServer

from tests.stand_ins.taobao import (
    accounts,
    coupons,
    logistics,
    members,
    queue,
    ratings,
    refunds,
    sms,
    trades,
)
from tests.stand_ins.taobao.gateway import Gateway
from tests.stand_ins.taobao.socket import Socket
from tests.stand_ins.taobao.world import World

SERVICES = (accounts, coupons, logistics, members, queue, ratings, refunds, sms, trades)


@asynccontextmanager
async def serve(clock):
    """A world, and the address of its gateway as `world.url`."""
    world = World(clock)
    application = Gateway(world).application()
    world.socket = Socket(world)
    application.router.add_get("/", world.socket.serve)
    server = TestServer(application)
    await server.start_server()
    world.url, world.socket_url = str(server.make_url("/router/rest")), str(server.make_url("/"))
    try:
        yield world
    finally:
        await server.close()
