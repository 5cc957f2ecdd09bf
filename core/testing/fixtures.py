"""Pytest fixtures on the real engines."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg
import pytest
import pytest_asyncio

from core.clock import MovableClock
from core.domain.shops.setup import set_up_merchant
from core.installation import Installation, open_installation
from core.sdk import outbound
from core.settings import Settings
from core.storage.database import Session, Work, credentials

START = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
"""Where the tests' clock stands: noon in Shanghai."""


@dataclass(frozen=True)
class TestMerchant:
    """A fresh merchant with one shop; merchants are isolated, so tests need no clean-up."""

    __test__ = False

    id: int
    shop_id: int
    token: str
    installation: Installation = field(repr=False)
    clock: MovableClock

    def work(self) -> AbstractAsyncContextManager[Work]:
        return self.installation.db.work(self.id)

    def read(self) -> AbstractAsyncContextManager[Session]:
        return self.installation.db.read(self.id)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """An installation on embedded engines of its own, with a clock that tests move.

    It may call stand-ins on loopback.
    """
    settings = Settings(home=tmp_path_factory.mktemp("huike"), private_networks=outbound.LOOPBACK)
    async with open_installation(settings, clock=MovableClock(START)) as opened:
        await _without_waiting_for_the_disk(opened)
        yield opened


async def _without_waiting_for_the_disk(opened: Installation) -> None:
    """What tests write need not outlive a power cut; killed processes lose nothing by it."""
    connection = await asyncpg.connect(**credentials(opened.database_url))
    try:
        for name in ("fsync", "full_page_writes"):
            await connection.execute(f"ALTER SYSTEM SET {name} = off")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


@pytest_asyncio.fixture(loop_scope="session")
async def merchant(installation: Installation) -> TestMerchant:
    """A fresh merchant with a Taobao shop named "shop"; the clock stands at START again."""
    clock = installation.db.clock
    assert isinstance(clock, MovableClock)
    clock.move(START - clock())
    made = await set_up_merchant(installation.db, installation.registry, "Test", shop="shop")
    assert made.shop_id is not None
    return TestMerchant(made.merchant_id, made.shop_id, made.token, installation, clock)
