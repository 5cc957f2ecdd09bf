"""The time, who a token belongs to, and new tokens."""

import orjson

from tests.stand_ins.taobao.errors import TopError
from tests.stand_ins.taobao.gateway import api
from tests.stand_ins.taobao.shapes import at, only


@api("taobao.time.get", session=False)
def time(call):
    return {"time": at(call.world.now())}


@api("taobao.user.seller.get", "r1")
def seller(call):
    shop = call.shop
    user = {
        "user_id": shop.user_id, "nick": shop.nick, "type": shop.kind, "status": "normal",
        "has_shop": True,
    }  # fmt: skip
    return {"user": only(user, call.fields())}


@api("taobao.top.auth.token.create", session=False)
def create(call):
    found = call.world.codes.pop(call.need("code"), None)
    if found is None or found[0] is not call.app:
        raise TopError(15, "Remote service error", "isv.invalid-parameter:code")
    return given(call, *found)


@api("taobao.top.auth.token.refresh", session=False)
def refresh(call):
    before = call.world.refreshes.get(call.need("refresh_token"))
    grant = call.world.grants.get(before)
    if grant is None or grant.app is not call.app or grant.revoked or not call.app.renews:
        raise TopError(15, "Remote service error", "isv.invalid-parameter:refresh_token")
    return given(call, grant.app, grant.shop)


def given(call, app, shop):
    token = call.world.grant(app, shop)
    life = call.world.life
    grant = call.world.grants[token]
    result = {
        "access_token": token, "token_type": "Bearer", "expires_in": life[""],
        "re_expires_in": life[""] if grant.refresh else 0,
        **{f"{kind}_expires_in": life[kind] for kind in ("r1", "r2", "w1", "w2")},
        "taobao_user_id": str(shop.user_id), "taobao_user_nick": "%E7%A4%BA",
        "taobao_open_uid": "AAHsynOpenUid",
    }  # fmt: skip
    if grant.refresh:
        result["refresh_token"] = grant.refresh
    return {"token_result": orjson.dumps(result).decode()}
