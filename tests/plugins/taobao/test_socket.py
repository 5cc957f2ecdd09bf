"""Another consumer of the shop's messages, who listens as the platform's own client does.

What he holds does not come to us, and what he leaves unconfirmed does.
"""

from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp
import pytest

from tests.plugins.taobao.followed import followed
from tests.stand_ins.taobao import socket

CONNECT = bytes.fromhex(
    "02000100070000006170705f6b65790108000000313233343536373801000a00000067726f75705f6e616d650107"
    "00000064656661756c7401000900000074696d657374616d70010d000000313736373234303030303030300100"
    "040000007369676e0120000000314141304545314645443632443237453332464546333231463631343036303801"
    "000300000073646b010800000063726d2d70792d310000"
)
ACKNOWLEDGED = bytes.fromhex("0201050005000000746f6b2d310000")
PULL = bytes.fromhex("0202050005000000746f6b2d310100060000005f5f6b696e6402010000")
CONFIRM = bytes.fromhex(
    "0202050005000000746f6b2d310100060000005f5f6b696e64020201000200000069640501c0fc8ec9d97e550000"
)
CONFIRMED = 6160600800000000001
"""Published frames: of the app 12345678, the group default, and the message that is confirmed."""


@asynccontextmanager
async def consumer(world, hello=CONNECT):
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(world.socket_url) as connection,
    ):
        await connection.send_bytes(hello)
        yield connection


async def test_the_published_frames(world, platform):
    first = world.tell(platform.shop, "taobao_trade_TradeCreate", {"tid": 1})
    first.id = CONFIRMED
    async with consumer(world) as connection:
        assert await connection.receive_bytes(timeout=5) == ACKNOWLEDGED
        await connection.send_bytes(PULL)
        frame = socket.Frame(await connection.receive_bytes(timeout=5))
        assert (frame.token, frame.values["__kind"], frame.values["id"]) == ("tok-1", 3, CONFIRMED)
        assert frame.values["content"] == '{"tid":1}'
        await connection.send_bytes(CONFIRM)
        await connection.send_bytes(b"no frame")
        assert (await connection.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
    assert first.confirmed


@pytest.mark.parametrize("spoil", [
    lambda hello: hello.replace(b"1AA0EE1F", b"1AA0EE10"),
    lambda hello: hello.replace(b"12345678", b"12345679"),
])  # fmt: skip
async def test_who_does_not_sign_hears_nothing(world, platform, spoil):
    async with consumer(world, spoil(CONNECT)) as connection:
        answer = await connection.receive_bytes(timeout=5)
        assert answer == socket.refused(401, "synthetic: the signature is wrong")
        assert (await connection.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE


async def test_what_a_dead_consumer_held_comes_to_us(merchant):
    async with followed(merchant) as shop:
        await shop.connect()
        await shop.work()
        world = shop.world
        told = {"late": timedelta(hours=1), "topic": "taobao_trade_TradeCreate"}
        tids = [shop.trade(**told) for _ in range(3)]
        async with consumer(world) as connection:
            await connection.receive_bytes(timeout=5)
            await connection.send_bytes(PULL)
            held = [socket.Frame(await connection.receive_bytes(timeout=5)) for _ in tids]
            assert len({frame.values["id"] for frame in held}) == 3
            shop.later(seconds=5)
            await shop.work()
            assert await shop.orders() == {}  # nor do lists show them yet
            await world.socket.cut()
            assert (await connection.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
        await shop.pass_time(6)
        assert await shop.orders() == shop.truth()
        assert all(message.confirmed for message in world.messages)
