from datetime import timedelta

import pytest

from core.domain.shops.tokens import authenticate, create_token, revoke_token
from core.sdk import InvalidInput, NotFound


async def test_owner_token_authenticates(merchant):
    caller = await authenticate(merchant.installation.db, merchant.token)
    assert caller is not None
    assert caller.merchant_id == merchant.id
    assert "CAMPAIGNS_SEND" in caller.permissions


async def test_revoked_and_expired_tokens_do_not(merchant):
    db, registry = merchant.installation.db, merchant.installation.registry
    async with merchant.work() as w:
        one, revoked = await create_token(w, registry, "a", ["SHOPS_READ"])
        _, expiring = await create_token(
            w, registry, "b", ["SHOPS_READ"], w.now + timedelta(hours=1)
        )
        await revoke_token(w, one)
    assert await authenticate(db, revoked) is None
    assert await authenticate(db, expiring) is not None
    merchant.clock.move(timedelta(hours=2))
    assert await authenticate(db, expiring) is None


@pytest.mark.parametrize(
    "token",
    ["", "hk", "hk_1_2", "hk_x_1_s", "hk_1_999999999_s", "hk_²_1_s", "hk_" + "9" * 40 + "_1_s"],
)
async def test_garbage_is_nobody(merchant, token):
    assert await authenticate(merchant.installation.db, token) is None


async def test_secret_of_another_merchant_does_not_fit(merchant):
    secret = merchant.token.split("_", 3)[3]
    forged = f"hk_{merchant.id + 1}_1_{secret}"
    assert await authenticate(merchant.installation.db, forged) is None


async def test_unknown_permission_is_named(merchant):
    with pytest.raises(InvalidInput, match="FLY"):
        async with merchant.work() as w:
            await create_token(w, merchant.installation.registry, "a", ["FLY"])


async def test_other_merchants_tokens_cannot_be_revoked(merchant):
    with pytest.raises(NotFound):
        async with merchant.work() as w:
            await revoke_token(w, 10**9)
