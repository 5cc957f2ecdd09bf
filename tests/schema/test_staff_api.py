"""Logging in over the API, and what becomes of connections whose rights end."""

import asyncio
import json
from datetime import timedelta

import pyotp
import pytest

from core.domain.shops.staff.accounts import update_staff
from core.domain.shops.staff.sessions import end_sessions
from core.domain.shops.tokens import create_token, revoke_token, rotate_token
from core.schema import context as context_module
from core.schema.scalars import split_id
from tests.schema import operations
from tests.schema.test_live import CAMPAIGN, JOB, message, subscribed


async def act(api, token, name, **variables):
    answer = await api.data(token, operations.text(name), **variables)
    (payload,) = answer.values()
    return payload


async def code_of(api, token, name, **variables):
    answer = await api(token, operations.text(name), **variables)
    return answer["errors"][0]["extensions"]["code"]


async def test_from_the_invitation_to_the_end(api, world):
    values = {"email": "nora@example.com", "name": "Nora", "role": "marketer"}
    invited = await act(api, world.token, "staff-invite", input=values)
    accepted = {"token": invited["token"], "password": operations.PASSWORD}
    assert (await act(api, None, "staff-invite-accept", input=accepted))["errors"] == []
    login = {"merchantId": world.ids["Merchant"], "email": "nora@example.com",
             "password": operations.PASSWORD}  # fmt: skip
    tokens = (await act(api, None, "staff-login", input=login))["tokens"]
    nora = tokens["accessToken"]
    assert (await act(api, nora, "staff-me"))["role"] == "marketer"
    answer = await api.data(nora, "{ viewer { permissions } }")
    assert "CAMPAIGNS_SEND" in answer["viewer"]["permissions"]
    assert await code_of(api, nora, "staff") == "FORBIDDEN"
    made = await act(api, nora, "staff-totp-enrol", input={"password": operations.PASSWORD})
    app, clock = pyotp.parse_uri(made["uri"]), world.merchant.clock
    code = {"code": app.at(clock())}
    codes = (await act(api, nora, "staff-totp-confirm", input=code))["recoveryCodes"]
    refused = await act(api, None, "staff-login", input=login)
    assert [error["code"] for error in refused["errors"]] == ["LOGIN_CODE_NEEDED"]
    other = await act(api, None, "staff-login", input={**login, "code": codes[0]})
    found = await act(api, nora, "staff-sessions")
    assert [one["current"] for one in found] == [False, True]
    assert (await act(api, nora, "staff-session-end", id=found[0]["id"]))["errors"] == []
    assert await code_of(api, other["tokens"]["accessToken"], "staff-me") == "UNAUTHENTICATED"
    ending = {"password": operations.PASSWORD, "code": codes[1]}
    assert (await act(api, nora, "staff-totp-disable", input=ending))["disabled"] is True
    await act(api, nora, "staff-logout")
    assert await code_of(api, nora, "staff-me") == "UNAUTHENTICATED"
    spent = await act(api, None, "staff-refresh", input={"refreshToken": tokens["refreshToken"]})
    assert [error["code"] for error in spent["errors"]] == ["SESSION_ENDED"]


async def test_a_merchant_asks_everybody_for_a_second_factor(api, address, world):
    required = {"input": {"required": True}}
    refused = await act(api, world.person, "staff-second-factor-set", **required)
    assert [error["code"] for error in refused["errors"]] == ["WRONG_STATE"]
    async with subscribed(address, world.person, JOB, id=world.ids["Job"]) as socket:
        assert (await message(socket))["payload"]["data"]
        done = await act(api, world.token, "staff-second-factor-set", **required)
        assert (done["required"], done["errors"]) == (True, [])
        await ends(socket, "FORBIDDEN")
    # a login leads to the enrolment and to nothing else; programs go on
    login = {**operations.variables("staff-login", world.ids)["input"],
             "password": operations.PASSWORD}  # fmt: skip
    given = await act(api, None, "staff-login", input=login)
    assert given["secondFactorNeeded"] is True
    token = given["tokens"]["accessToken"]
    assert (await api.data(token, "{ viewer { permissions } }"))["viewer"]["permissions"] == []
    answer = await api(token, "{ merchant { name } }")
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert "staffTotpEnrol" in answer["errors"][0]["message"]
    assert (await api.data(world.token, "{ staffSecondFactorRequired }")) == {
        "staffSecondFactorRequired": True
    }
    made = await act(api, token, "staff-totp-enrol", input={"password": operations.PASSWORD})
    code = {"code": pyotp.parse_uri(made["uri"]).at(world.merchant.clock())}
    codes = (await act(api, token, "staff-totp-confirm", input=code))["recoveryCodes"]
    assert (await api.data(token, "{ merchant { name } }"))["merchant"]
    given = await act(api, None, "staff-login", input={**login, "code": codes[0]})
    assert given["secondFactorNeeded"] is False
    # it cannot be taken off again while it is asked for
    ending = {"password": operations.PASSWORD, "code": codes[1]}
    refused = await act(api, token, "staff-totp-disable", input=ending)
    assert [error["code"] for error in refused["errors"]] == ["WRONG_STATE"]
    off = {"input": {"required": False}}
    assert (await act(api, token, "staff-second-factor-set", **off))["required"] is False
    assert (await act(api, token, "staff-totp-disable", input=ending))["disabled"] is True


async def test_a_login_is_one_merchants(api, world, stranger):
    values = operations.variables("staff-login", world.ids)["input"]
    async with stranger.merchant.work() as w:
        await w.sql.execute("DELETE FROM staff WHERE merchant_id = $1", stranger.merchant.id)
    wrong = {**values, "merchantId": stranger.ids["Merchant"]}
    refused = await act(api, None, "staff-login", input=wrong)
    assert [error["code"] for error in refused["errors"]] == ["LOGIN_REFUSED"]
    refused = await act(api, None, "staff-login", input={**values, "merchantId": "nonsense"})
    assert refused["errors"][0]["path"] == ["input", "merchantId"]


@pytest.mark.parametrize("name", sorted(operations.PERSONS - {"staff-me", "staff-sessions"}))
async def test_what_people_do_about_their_login_is_not_for_programs(api, world, name):
    variables = operations.variables(name, world.ids)
    assert await code_of(api, world.token, name, **variables) == "FORBIDDEN"


async def test_what_is_shown_once_is_never_shown_again(api, world):
    """Neither lists nor the audit log hold secrets; nor are they in what is refused."""
    values = operations.variables("staff-invite", world.ids)
    invited = await act(api, world.token, "staff-invite", **values)
    rotated = await act(api, world.token, "token-rotate", id=world.ids["Token"], input={})
    secrets = [one.split("_", 3)[-1] for one in (invited["token"], rotated["secret"])]
    assert min(map(len, secrets)) > 20
    seen = []
    for name in ("staff", "tokens", "roles", "staff-me", "staff-sessions", "audit-log"):
        seen.append(await api.data(world.person, operations.text(name)))
    refused = {"token": invited["token"], "password": "short"}
    seen.append(await api(None, operations.text("staff-invite-accept"), input=refused))
    login = {
        **operations.variables("staff-login", world.ids)["input"],
        "password": "my secret word",
    }
    seen.append(await api(None, operations.text("staff-login"), input=login))
    assert not [secret for secret in (*secrets, "my secret word") if secret in str(seen)]


async def test_nobody_manages_who_may_more(api, world):
    manager = await world.logged_in("manager")
    for name, variables in (
        ("staff-update", {"id": world.ids["Staff"], "input": {"disabled": True}}),
        ("staff-reset", {"id": world.ids["Staff"]}),
        ("staff-invite",
         {"input": {"email": "x@example.com", "name": "X", "role": "owner"}}),
    ):  # fmt: skip
        assert await code_of(api, manager, name, **variables) == "FORBIDDEN"
    invited = {"email": "x@example.com", "name": "X", "role": "service_agent"}
    assert (await act(api, manager, "staff-invite", input=invited))["errors"] == []


async def test_the_last_owner_stays(api, world):
    refused = await act(
        api, world.person, "staff-update", id=world.ids["Staff"], input={"role": "manager"}
    )
    assert [error["code"] for error in refused["errors"]] == ["LAST_OWNER"]


async def test_a_rotated_token_overlaps(api, world):
    async with world.merchant.work() as w:
        pk, old = await create_token(w, world.merchant.installation.registry, "p", ["SHOPS_READ"])
        new = await rotate_token(w, pk, timedelta(hours=1), lambda _: None)
    for token in (old, new):
        assert (await api.data(token, "{ merchant { name } }"))["merchant"]
    world.merchant.clock.move(timedelta(hours=1))
    assert (await api(old, "{ merchant { name } }"))["errors"]
    assert (await api.data(new, "{ merchant { name } }"))["merchant"]
    reader = await world.limited("TOKENS_WRITE")
    values = {"id": world.ids["Token"], "input": {}}
    assert await code_of(api, reader, "token-rotate", **values) == "FORBIDDEN"


# -- connections that last -----------------------------------------------------------------------


async def ends(socket, code="UNAUTHENTICATED"):
    """The subscription ends within seconds, and says why."""
    async with asyncio.timeout(5):
        answer = await message(socket)
        errors = answer["payload"] if answer["type"] == "error" else answer["payload"]["errors"]
        assert errors[0]["extensions"]["code"] == code, answer
        if answer["type"] != "error":
            assert (await message(socket))["type"] == "complete"


async def test_a_subscription_ends_with_the_session(address, world):
    pk = split_id(world.ids["Staff"])[1]
    async with subscribed(address, world.person, JOB, id=world.ids["Job"]) as socket:
        assert (await message(socket))["payload"]["data"]
        async with world.merchant.work() as w:
            await end_sessions(w, pk)
        await ends(socket)
        # and the connection is good for nothing else
        body = {"query": "{ merchant { name } }"}
        await socket.send(json.dumps({"type": "subscribe", "id": "2", "payload": body}))
        assert "UNAUTHENTICATED" in str(await message(socket))


async def test_a_subscription_ends_with_the_right(address, world):
    registry = world.merchant.installation.registry
    person = await world.logged_in("marketer")
    async with world.merchant.read() as session:
        pk = await session.sql.fetchval(
            "SELECT id FROM staff WHERE merchant_id = $1 AND role = 'marketer'", world.merchant.id
        )
    async with subscribed(address, person, CAMPAIGN, id=world.ids["Sent"]) as socket:
        assert (await message(socket))["payload"]["data"]
        async with world.merchant.work() as w:
            await update_staff(w, registry, pk, {"role": "warehouse"}, lambda _: None)
        await ends(socket, "FORBIDDEN")


async def test_a_subscription_ends_with_the_token(address, world):
    async with world.merchant.work() as w:
        pk, secret = await create_token(w, world.merchant.installation.registry, "p", ["JOBS_READ"])
    async with subscribed(address, secret, JOB, id=world.ids["Job"]) as socket:
        assert (await message(socket))["payload"]["data"]
        async with world.merchant.work() as w:
            await revoke_token(w, pk)
        await ends(socket)


async def test_a_subscription_outlives_the_access_token_but_not_the_session(
    address, world, monkeypatch
):
    monkeypatch.setattr(context_module, "LOOK_SECONDS", 0.2)
    async with subscribed(address, world.person, JOB, id=world.ids["Job"]) as socket:
        assert (await message(socket))["payload"]["data"]
        world.merchant.clock.move(timedelta(minutes=11))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):
                await message(socket)
        world.merchant.clock.move(timedelta(hours=12))
        await ends(socket)
