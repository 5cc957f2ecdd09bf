import asyncio
from datetime import timedelta

import pytest

from core.domain.shops.known_tokens import KnownTokens
from core.domain.shops.setup import set_up_merchant
from core.domain.shops.tokens import create_token, revoke_token
from core.sdk import InvalidInput, NotFound
from core.storage.signals import Signals


@pytest.fixture
def authenticate(installation):
    """Who presents a token; it is looked at each time, since nobody listens."""
    return KnownTokens(installation.db, Signals(None)).authenticate


async def test_owner_token_authenticates(merchant, authenticate):
    caller = await authenticate(merchant.token)
    assert caller is not None
    assert caller.merchant_id == merchant.id
    assert "CAMPAIGNS_SEND" in caller.permissions


async def test_revoked_and_expired_tokens_do_not(merchant, authenticate):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        one, revoked = await create_token(w, registry, "a", ["SHOPS_READ"])
        _, expiring = await create_token(
            w, registry, "b", ["SHOPS_READ"], w.now + timedelta(hours=1)
        )
        await revoke_token(w, one)
    assert await authenticate(revoked) is None
    assert await authenticate(expiring) is not None
    merchant.clock.move(timedelta(hours=2))
    assert await authenticate(expiring) is None


@pytest.mark.parametrize(
    "token",
    ["", "hk", "hk_1_2", "hk_x_1_s", "hk_1_999999999_s", "hk_²_1_s", "hk_" + "9" * 40 + "_1_s"],
)
async def test_garbage_is_nobody(merchant, authenticate, token):
    assert await authenticate(token) is None


async def test_secret_of_another_merchant_does_not_fit(merchant, authenticate):
    secret = merchant.token.split("_", 3)[3]
    forged = f"hk_{merchant.id + 1}_1_{secret}"
    assert await authenticate(forged) is None


async def test_unknown_permission_is_named(merchant):
    with pytest.raises(InvalidInput, match="FLY"):
        async with merchant.work() as w:
            await create_token(w, merchant.installation.registry, "a", ["FLY"])


async def test_other_merchants_tokens_cannot_be_revoked(merchant):
    with pytest.raises(NotFound):
        async with merchant.work() as w:
            await revoke_token(w, 10**9)


async def test_tokens_shown_at_the_same_time_are_told_apart(merchant, authenticate):
    db, registry = merchant.installation.db, merchant.installation.registry
    second = await set_up_merchant(db, registry, "second")
    async with merchant.work() as w:
        _, reader = await create_token(w, registry, "reader", ["SHOPS_READ"])
        gone, revoked = await create_token(w, registry, "gone", ["SHOPS_READ"])
        await revoke_token(w, gone)
    forged = f"{reader[:-3]}xyz"
    tokens = [merchant.token, reader, revoked, second.token, forged, "hk_1_1_x"] * 5
    found = await asyncio.gather(*(authenticate(one) for one in tokens))
    for owner, read, *nobody in zip(*[iter(found)] * 6, strict=True):
        other = nobody.pop(1)
        assert (owner.merchant_id, other.merchant_id) == (merchant.id, second.merchant_id)
        assert "CAMPAIGNS_SEND" in owner.permissions
        assert read.permissions == {"SHOPS_READ"}
        assert nobody == [None, None, None]


async def test_a_token_is_written_down_as_used_though_somebody_holds_its_row(
    merchant, authenticate
):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        one, token = await create_token(w, registry, "held", ["SHOPS_READ"])
    async with merchant.read() as holder, holder.sql.transaction():
        await holder.sql.fetchrow("SELECT 1 FROM api_tokens WHERE id = $1 FOR UPDATE", one)
        async with asyncio.timeout(2):
            assert await authenticate(token) is not None
    assert await authenticate(token) is not None
    async with merchant.read() as session:
        used = await session.sql.fetchval("SELECT last_used_at FROM api_tokens WHERE id = $1", one)
    assert used is not None
