import pytest
import pytest_asyncio

from tests.connections.kit import FairShop, fair_plugin, installed
from tests.connections.stand_in import Fair, serving


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def platform_url():
    """One server for all tests; each test puts its own platform behind it."""
    behind = []

    async def answer(request):
        return await behind[-1].answer(request)

    async with serving(answer) as url:
        yield url, behind


@pytest.fixture(scope="session")
def plugin():
    return fair_plugin()


@pytest_asyncio.fixture(loop_scope="session")
async def shop(merchant, plugin, platform_url):
    """A merchant who has the plugin of docs/plugins/connectors.md on, and a platform for it."""
    url, behind = platform_url
    fair = Fair(merchant.clock)
    behind.append(fair)
    yield FairShop(merchant, fair, await installed(merchant, plugin, url))
    behind.pop()
    async with merchant.work() as w:  # a worker of a later test must not follow it
        await w.sql.execute(
            "UPDATE shop_connections SET state = 'disconnected' WHERE merchant_id = $1", merchant.id
        )
