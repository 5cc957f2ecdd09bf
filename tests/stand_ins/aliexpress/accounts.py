"""Who a token belongs to, and new tokens."""

from tests.stand_ins.aliexpress.errors import GatewayError
from tests.stand_ins.aliexpress.gateway import api


@api("aliexpress.merchant.profile.get", inside=None)
def profile(call):
    return {"seller_id": call.shop.seller_id, "country": "CN", "quotation_currency": "USD"}


@api("/auth/token/create", path=True, session=False, inside=None)
def create(call):
    found = call.world.codes.pop(call.need("code"), None)
    if found is None or found[0] is not call.app:
        raise GatewayError("InvalidCode", "synthetic: the code is invalid or was used")
    return given(call.world, call.world.grant(*found))


@api("/auth/token/refresh", path=True, session=False, inside=None)
def refresh(call):
    world, token = call.world, call.need("refresh_token")
    found = [g for g in world.grants.values() if g.refresh == token and g.app is call.app]
    if not found or found[-1].revoked or found[-1].refresh_ends <= world.now():
        raise GatewayError("IllegalRefreshToken", "synthetic: refresh token is invalid or expired")
    before = found[-1]
    new = world.grant(before.app, before.shop, token, before.refresh_ends)
    return given(world, new) | {
        # it speaks of a whole new life, which there is not
        "refresh_expires_in": world.refresh_life, "refresh_token_valid_time": 0,
    }  # fmt: skip


def given(world, token):
    grant = world.grants[token]
    left = (grant.refresh_ends - world.now()).total_seconds()
    return {
        "access_token": token, "refresh_token": grant.refresh, "expires_in": world.life,
        "refresh_expires_in": int(left), "expire_time": int(grant.ends.timestamp() * 1000),
        "refresh_token_valid_time": int(grant.refresh_ends.timestamp() * 1000),
        "user_id": str(grant.shop.seller_id), "seller_id": str(grant.shop.seller_id),
        "user_nick": grant.shop.nick, "account": "demo@example.test",
        "account_platform": "seller_center", "havana_id": "17000000001", "locale": "zh_CN",
        "sp": "ae",
    }  # fmt: skip
