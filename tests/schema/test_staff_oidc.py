"""Logging in by an identity provider, and every way in which one must not get in."""

import httpx2
import pytest
import pytest_asyncio

from core.domain.shops.staff import oidc_client
from tests.oidc_kit import Key, came_back, challenge_of, serving
from tests.schema import operations

BACK = "https://crm.example.com/back"
MARTA = {"sub": "m-1", "email": "marta@example.com", "email_verified": True, "name": "Marta"}


def test_the_stand_in_knows_pkce():
    """RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest_asyncio.fixture(loop_scope="session")
async def idp(world, api):
    async with serving(world.merchant.clock, BACK) as provider:
        provider.person = dict(MARTA)
        yield provider


async def configure(api, world, idp, **more):
    values = {"issuer": idp.issuer, "clientId": idp.CLIENT, "clientSecret": idp.SECRET,
              "redirectUris": [BACK], **more}  # fmt: skip
    answer = await api.data(world.token, operations.text("staff-oidc-set"), input=values)
    return answer["staffOidcSet"]


async def begin(api, world, uri=BACK):
    values = {"merchantId": world.ids["Merchant"], "redirectUri": uri}
    answer = await api.data(None, operations.text("staff-oidc-start"), input=values)
    return answer["staffOidcStart"]


async def visit(url):
    async with httpx2.AsyncClient() as browser:
        answer = await browser.get(url, follow_redirects=False)
    assert answer.status_code == 302, answer.text
    return came_back(answer.headers["location"])


async def finish(api, flow, **values):
    answer = await api.data(
        None, operations.text("staff-oidc-finish"), input={"flow": flow, **values}
    )
    return answer["staffOidcFinish"]


async def log_in(api, world):
    started = await begin(api, world)
    return await finish(api, started["flow"], **await visit(started["url"]))


async def actions(world):
    async with world.merchant.read() as session:
        rows = await session.sql.fetch(
            "SELECT action FROM audit_log WHERE merchant_id = $1 ORDER BY number", world.merchant.id
        )
    return [row["action"] for row in rows]


async def test_a_colleague_of_the_domain_gets_an_account(api, world, idp):
    set_ = await configure(api, world, idp, domains=["Example.com"], defaultRole="analyst")
    assert set_["errors"] == []
    assert set_["oidc"]["domains"] == ["example.com"]
    assert idp.SECRET not in str(set_)
    found = await log_in(api, world)
    token = found["tokens"]["accessToken"]
    me = (await api.data(token, operations.text("staff-me")))["staffMe"]
    assert (me["name"], me["email"], me["role"]) == ("Marta", "marta@example.com", "analyst")
    # the subject stays the person, whatever becomes of the address
    idp.person |= {"email": "marta.new@elsewhere.example"}
    again = await log_in(api, world)
    assert (await api.data(again["tokens"]["accessToken"], "{ staffMe { id } }"))["staffMe"][
        "id"
    ] == me["id"]
    assert {"staff.provisioned", "staff.oidc_linked", "staff.logged_in"} <= set(
        await actions(world)
    )


async def test_without_a_domain_only_who_was_invited_gets_in(api, world, idp):
    await configure(api, world, idp)
    refused = await log_in(api, world)
    assert [error["code"] for error in refused["errors"]] == ["LOGIN_REFUSED"]
    idp.person = {**MARTA, "sub": "c-1", "email": "CARL@example.com"}
    found = await log_in(api, world)
    me = await api.data(found["tokens"]["accessToken"], "{ staffMe { id linked state } }")
    assert me["staffMe"] == {"id": world.ids["Colleague"], "linked": True, "state": "ACTIVE"}
    # the invitation is used up by that, and the address is nobody else's
    idp.person = {**MARTA, "sub": "c-2", "email": "carl@example.com"}
    assert [e["code"] for e in (await log_in(api, world))["errors"]] == ["LOGIN_REFUSED"]
    accept = await api.data(
        None, operations.text("staff-invite-accept"),
        input={"token": world.ids["invitation"], "password": operations.NEW_PASSWORD},
    )  # fmt: skip
    assert accept["staffInviteAccept"]["errors"][0]["code"] == "INVITE_INVALID"
    # nor does a disabled account get in
    await api.data(
        world.token, operations.text("staff-update"), id=world.ids["Colleague"],
        input={"disabled": True},
    )  # fmt: skip
    idp.person = {**MARTA, "sub": "c-1"}
    assert [e["code"] for e in (await log_in(api, world))["errors"]] == ["LOGIN_REFUSED"]


FORGED = {
    "another issuer": lambda idp, claims: idp.keys[0].sign(
        {**claims, "iss": "https://evil.example"}
    ),
    "another audience": lambda idp, claims: idp.keys[0].sign({**claims, "aud": "other"}),
    "two audiences, other party": lambda idp, claims: idp.keys[0].sign(
        {**claims, "aud": ["huike", "other"], "azp": "other"}
    ),
    "expired": lambda idp, claims: idp.keys[0].sign({**claims, "exp": claims["iat"] - 60}),
    "from the future": lambda idp, claims: idp.keys[0].sign({**claims, "iat": claims["iat"] + 600}),
    "another nonce": lambda idp, claims: idp.keys[0].sign({**claims, "nonce": "x" * 43}),
    "no nonce": lambda idp, claims: idp.keys[0].sign(
        {name: value for name, value in claims.items() if name != "nonce"}
    ),
    "no subject": lambda idp, claims: idp.keys[0].sign(
        {name: value for name, value in claims.items() if name != "sub"}
    ),
    "unverified address": lambda idp, claims: idp.keys[0].sign({**claims, "email_verified": False}),
    "verified as text": lambda idp, claims: idp.keys[0].sign({**claims, "email_verified": "true"}),
    "stranger's key": lambda idp, claims: Key("1").sign(claims),
    "unknown key": lambda idp, claims: Key("2").sign(claims),
    "no signature": lambda idp, claims: (
        idp.keys[0].sign(claims, alg="none").rpartition(".")[0] + "."
    ),
    "symmetric": lambda idp, claims: idp.keys[0].sign(claims, alg="HS256"),
    "no token": lambda idp, claims: "a.b.c",
    "changed": lambda idp, claims: idp.keys[0].sign(claims)[:-8] + "AAAAAAAA",
}


async def test_no_forged_identity_gets_in(api, world, idp):
    await configure(api, world, idp, domains=["example.com"], defaultRole="analyst")
    for name, forge in FORGED.items():
        idp.forge = lambda claims, forge=forge: forge(idp, claims)
        refused = await log_in(api, world)
        assert refused["tokens"] is None, name
        assert [error["code"] for error in refused["errors"]] == ["OIDC_FAILED"], name
        async with world.merchant.work() as w:
            await w.sql.execute("DELETE FROM login_pauses")
    idp.forge = None
    assert (await log_in(api, world))["tokens"]


async def test_a_login_ends_where_it_began(api, world, idp, stranger):
    await configure(api, world, idp, domains=["example.com"], defaultRole="analyst")
    mine, other = await begin(api, world), await begin(api, world)
    back = await visit(mine["url"])
    refused = await finish(api, other["flow"], **back)
    assert refused["errors"][0]["path"] == ["input", "state"]
    # somebody else's code under one's own state does not fit the verifier
    theirs = await visit(other["url"])
    refused = await finish(api, mine["flow"], state=back["state"], code=theirs["code"])
    assert [error["code"] for error in refused["errors"]] == ["OIDC_FAILED"]
    assert (await finish(api, mine["flow"], **back))["tokens"]
    refused = await finish(api, mine["flow"], **back)
    assert [error["code"] for error in refused["errors"]] == ["OIDC_FAILED"]
    for flow in ("", "x", mine["flow"][:-8] + "AAAAAAAA"):
        refused = await finish(api, flow, **back)
        assert refused["errors"][0]["path"] == ["input", "flow"]
    refused = await begin(api, world, "https://evil.example/back")
    assert refused["errors"][0]["path"] == ["input", "redirectUri"]
    values = {"merchantId": stranger.ids["Merchant"], "redirectUri": BACK}
    answer = await api.data(None, operations.text("staff-oidc-start"), input=values)
    assert answer["staffOidcStart"]["errors"][0]["code"] == "NOT_FOUND"


async def test_the_providers_keys_may_change(api, world, idp, monkeypatch):
    await configure(api, world, idp, domains=["example.com"], defaultRole="analyst")
    assert (await log_in(api, world))["tokens"]
    assert (await log_in(api, world))["tokens"]
    assert idp.key_reads == 1
    idp.keys = [Key("2")]
    monkeypatch.setattr(oidc_client, "ANEW_SECONDS", 0.0)
    assert (await log_in(api, world))["tokens"]
    assert idp.key_reads == 2


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"issuer": "http://login.example.com"}, "issuer"),
        ({"issuer": "https://u:p@login.example.com"}, "issuer"),
        ({"issuer": "ftp://x"}, "issuer"),
        ({"clientId": ""}, "clientId"),
        ({"redirectUris": []}, "redirectUris"),
        ({"redirectUris": ["javascript:alert(1)"]}, "redirectUris"),
        ({"domains": ["*"], "defaultRole": "analyst"}, "domains"),
        ({"domains": ["example.com"]}, "defaultRole"),
        ({"defaultRole": "owner"}, "defaultRole"),
        ({"defaultRole": "none_such"}, "defaultRole"),
    ],
)
async def test_settings_are_checked(api, world, change, path):
    values = {**operations.variables("staff-oidc-set", world.ids)["input"],
              "domains": [], "defaultRole": None, **change}  # fmt: skip
    answer = await api.data(world.token, operations.text("staff-oidc-set"), input=values)
    assert [error["path"] for error in answer["staffOidcSet"]["errors"]] == [["input", path]]


async def test_a_provider_that_is_down_or_lies_is_told(api, world, idp):
    await configure(api, world, idp)
    issuer, idp.issuer = idp.issuer, "https://somebody.else"
    assert "another name" in (await begin(api, world))["errors"][0]["message"]
    idp.issuer = issuer
    values = {"issuer": "http://127.0.0.1:9", "clientId": "x", "redirectUris": [BACK]}
    await api.data(world.token, operations.text("staff-oidc-set"), input=values)
    refused = await begin(api, world)
    assert [error["code"] for error in refused["errors"]] == ["OIDC_FAILED"]
    assert refused["errors"][0]["message"] == "the identity provider does not answer: ConnectError"
