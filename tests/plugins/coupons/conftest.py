import httpx2
import pytest

from core.app import create_app


@pytest.fixture
async def ask(merchant):
    transport = httpx2.ASGITransport(create_app(merchant.installation))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:

        async def ask(query, **variables):
            answered = await client.post(
                "/graphql", json={"query": query, "variables": variables},
                headers={"authorization": f"Bearer {merchant.token}"},
            )  # fmt: skip
            body = answered.json()
            assert "errors" not in body, body
            (found,) = body["data"].values()
            return found

        yield ask
