import pytest_asyncio

from core.clock import MovableClock
from tests.plugins.aliexpress.kit import NOW, Platform
from tests.stand_ins.aliexpress.server import serve


@pytest_asyncio.fixture(loop_scope="session")
async def world():
    async with serve(MovableClock(NOW)) as world:
        yield world


@pytest_asyncio.fixture(loop_scope="session")
async def platform(world):
    return Platform(world)
