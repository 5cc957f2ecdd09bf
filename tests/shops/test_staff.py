"""Roles, accounts, logins, pauses, second factors and sessions."""

import asyncio
from datetime import timedelta

import pyotp
import pytest
import pytest_asyncio
from argon2 import PasswordHasher

from core.domain.shops.known_tokens import KnownTokens
from core.domain.shops.permissions import CORE_PERMISSIONS, all_permissions
from core.domain.shops.roles import (
    GRANTED,
    SUB_ACCOUNT_MAY,
    SUB_ACCOUNTS,
    create_role,
    delete_role,
    find_role,
    predefined_roles,
    sub_account_may,
    update_role,
)
from core.domain.shops.staff import passwords, pauses
from core.domain.shops.staff.accounts import (
    InviteInvalid,
    LastOwner,
    accept_invite,
    invite,
    reset,
    update_staff,
)
from core.domain.shops.staff.callers import authenticate_bearer
from core.domain.shops.staff.credentials import (
    begin_totp,
    change_password,
    confirm_totp,
    end_totp,
)
from core.domain.shops.staff.login import CodeNeeded, LoginRefused, log_in
from core.domain.shops.staff.passwords import NOBODYS, check_password
from core.domain.shops.staff.pauses import LoginPaused, address_subject
from core.domain.shops.staff.sessions import (
    ACCESS_LIFE,
    IDLE_LIFE,
    SESSION_LIFE,
    Client,
    SessionEnded,
    refresh_session,
)
from core.domain.shops.staff.totp import new_recovery_codes, recovery_hash, step_of
from core.sdk import InvalidInput, NotFound, WrongState
from core.sdk.errors import AlreadyExists
from core.sdk.plugin import Permission

PASSWORD, OTHER = "correct horse battery staple", "another staple of batteries"
EMAIL = "ann.lee@example.com"


REAL = passwords._hasher
CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
CHEAP_NOBODYS = CHEAP.hash("of nobody")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """The real cost of a hash is tested once."""
    monkeypatch.setattr(passwords, "_hasher", CHEAP)
    monkeypatch.setattr(passwords, "NOBODYS", CHEAP_NOBODYS)


def anybody(permission):
    """Has every right."""


def lacks(*missing):
    def need(permission):
        if permission in missing:
            raise PermissionError(permission)

    return need


class Person:
    """Somebody with an account, and the ways to log in to it."""

    def __init__(self, merchant, pk):
        self.merchant, self.pk = merchant, pk
        self.db, self.registry = merchant.installation.db, merchant.installation.registry

    async def login(self, password=PASSWORD, code=None, email=EMAIL, address=None):
        return await log_in(self.db, self.merchant.id, email, password, code, Client(address))

    async def caller(self, token):
        tokens = KnownTokens(self.db, self.merchant.installation.signals)
        return await authenticate_bearer(self.db, self.registry, tokens, token)

    async def log(self):
        async with self.merchant.read() as session:
            return await session.sql.fetch(
                "SELECT * FROM audit_log WHERE merchant_id = $1 ORDER BY number", self.merchant.id
            )


async def make(merchant, role="owner", email=EMAIL):
    async with merchant.work() as w:
        pk, token = await invite(w, merchant.installation.registry, "Ann", email, role, anybody)
    await accept_invite(merchant.installation.db, token, PASSWORD, Client())
    return Person(merchant, pk)


@pytest_asyncio.fixture(loop_scope="session")
async def ann(merchant):
    async with merchant.work() as w:
        await w.sql.execute("DELETE FROM login_pauses")
    return await make(merchant)


# -- roles ---------------------------------------------------------------------------------------


def test_predefined_roles_name_permissions_that_exist(installation):
    known = {one.name for one in CORE_PERMISSIONS}
    for name, granted in GRANTED.items():
        assert granted <= known, name
    roles = predefined_roles(installation.registry)
    assert roles["owner"].permissions == frozenset(all_permissions(installation.registry))
    for name in SUB_ACCOUNTS:
        assert roles[name].permissions <= sub_account_may(installation.registry)
    barred = ("POINTS_", "SHOPS_WRITE", "PLUGINS_", "CAMPAIGNS_WRITE", "CAMPAIGNS_SEND", "TOKENS_",
              "STAFF_", "ORDERS_WRITE")  # fmt: skip
    for word in barred:
        assert not any(name.startswith(word) for name in SUB_ACCOUNT_MAY)


def test_a_plugin_says_which_roles_have_its_rights(installation):
    from dataclasses import replace

    registry = installation.registry
    rights = (Permission("EMAIL_LOOK", "Look.", ("service_agent",)), Permission("EMAIL_ALL", "Do."))
    manifest = replace(registry.manifests["email"], permissions=rights)
    changed = replace(registry, manifests={**registry.manifests, "email": manifest})
    roles = predefined_roles(changed)
    has = {name for name, role in roles.items() if "EMAIL_LOOK" in role.permissions}
    assert has == {"owner", "service_agent"}
    assert {n for n, role in roles.items() if "EMAIL_ALL" in role.permissions} == {"owner"}


async def test_a_merchant_copies_a_role_and_changes_the_copy(merchant, stranger_work):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        made = await create_role(w, registry, "night_shift", None, anybody, copied="service_agent")
        assert made.sub_account
        with pytest.raises(InvalidInput, match=r"sub-account cannot have CAMPAIGNS_SEND"):
            await update_role(w, registry, "night_shift", ["CAMPAIGNS_SEND"], anybody)
        changed = await update_role(w, registry, "night_shift", ["ORDERS_READ"], anybody)
        assert changed.permissions == {"ORDERS_READ"}
        with pytest.raises(PermissionError):
            await update_role(w, registry, "night_shift", ["PII_PHONE"], lacks("PII_PHONE"))
        with pytest.raises(PermissionError):  # nor take away what oneself has not
            await update_role(w, registry, "night_shift", ["PII_NAME"], lacks("ORDERS_READ"))
        with pytest.raises(AlreadyExists):
            await create_role(w, registry, "night_shift", ["ORDERS_READ"], anybody)
        for name in ("owner", "analyst"):
            with pytest.raises(WrongState, match="predefined"):
                await update_role(w, registry, name, ["ORDERS_READ"], anybody)
            with pytest.raises(AlreadyExists):
                await create_role(w, registry, name, ["ORDERS_READ"], anybody)
    async with stranger_work() as w:
        with pytest.raises(NotFound):
            await find_role(w, registry, "night_shift")


@pytest_asyncio.fixture(loop_scope="session")
async def stranger_work(installation):
    from core.domain.shops.setup import set_up_merchant

    made = await set_up_merchant(installation.db, installation.registry, "Other")
    return lambda: installation.db.work(made.merchant_id)


async def test_a_role_in_use_stays(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        await create_role(w, registry, "packing", None, anybody, copied="warehouse")
        pk, _ = await invite(w, registry, "Bo", "bo@example.com", "packing", anybody)
        with pytest.raises(WrongState, match="1 of the staff"):
            await delete_role(w, registry, "packing")
        await update_staff(w, registry, pk, {"role": "warehouse"}, anybody)
        await delete_role(w, registry, "packing")


# -- accounts ------------------------------------------------------------------------------------


async def test_an_invitation_works_once_and_for_three_days(merchant):
    db, registry = merchant.installation.db, merchant.installation.registry
    async with merchant.work() as w:
        _, token = await invite(w, registry, "Ann", " ANN@Example.com ", "analyst", anybody)
        _, late = await invite(w, registry, "Bo", "bo@example.com", "analyst", anybody)
        with pytest.raises(AlreadyExists):
            await invite(w, registry, "Ann", "ann@example.com", "analyst", anybody)
    for garbage in ("", "hi_1_2", token[:-1], token.replace("hi_", "hs_"), "hi_1_1_\ud800"):
        with pytest.raises(InviteInvalid):
            await accept_invite(db, garbage, PASSWORD, Client())
    with pytest.raises(InvalidInput, match="guessed"):
        await accept_invite(db, token, "aaaaaaaaaaaaaaaa", Client())
    await accept_invite(db, token, PASSWORD, Client())
    with pytest.raises(InviteInvalid):
        await accept_invite(db, token, OTHER, Client())
    merchant.clock.move(timedelta(days=3))
    with pytest.raises(InviteInvalid):
        await accept_invite(db, late, PASSWORD, Client())


@pytest.mark.parametrize("password", ["short", "x" * 201, "ababababababab", "my ann.lee password"])
def test_weak_passwords_are_refused(password):
    with pytest.raises(InvalidInput):
        check_password(password, EMAIL)


async def test_nobody_manages_who_may_more(ann):
    async with ann.merchant.work() as w:
        need = lacks("TOKENS_WRITE")
        for act in (
            update_staff(w, ann.registry, ann.pk, {"disabled": True}, need),
            reset(w, ann.registry, ann.pk, need),
            invite(w, ann.registry, "Bo", "bo@example.com", "owner", need),
        ):
            with pytest.raises(PermissionError):
                await act


async def test_the_last_owner_stays(ann):
    async with ann.merchant.work() as w:
        bo, _ = await invite(w, ann.registry, "Bo", "bo@example.com", "owner", anybody)
        for change in ({"role": "manager"}, {"disabled": True}):
            with pytest.raises(LastOwner):  # Bo has not set a password yet
                await update_staff(w, ann.registry, ann.pk, change, anybody)
        await update_staff(w, ann.registry, bo, {"disabled": True}, anybody)
    second = await make(ann.merchant, email="cy@example.com")

    async def step_down(person):
        async with ann.merchant.work() as w:
            await update_staff(w, ann.registry, person.pk, {"role": "manager"}, anybody)

    ends = await asyncio.gather(step_down(ann), step_down(second), return_exceptions=True)
    assert sorted(type(end) for end in ends if end is not None) == [LastOwner]


async def test_disabling_ends_everything_at_once(ann):
    agent = await make(ann.merchant, "service_agent", "bo@example.com")
    tokens = await agent.login(email="bo@example.com")
    caller = await agent.caller(tokens.access)
    assert caller.permissions == predefined_roles(ann.registry)["service_agent"].permissions
    async with ann.merchant.work() as w:
        await update_staff(w, ann.registry, agent.pk, {"role": "warehouse"}, anybody)
    caller = await agent.caller(tokens.access)
    assert "CUSTOMERS_READ" not in caller.permissions
    async with ann.merchant.work() as w:
        await update_staff(w, ann.registry, agent.pk, {"disabled": True}, anybody)
    assert await agent.caller(tokens.access) is None
    with pytest.raises(SessionEnded):
        await refresh_session(ann.db, tokens.refresh)
    with pytest.raises(LoginRefused):
        await agent.login(email="bo@example.com")
    async with ann.merchant.work() as w:
        await update_staff(w, ann.registry, agent.pk, {"disabled": False}, anybody)
    assert await agent.login(email="bo@example.com")


async def test_a_reset_takes_everything_away(ann):
    tokens = await ann.login()
    async with ann.merchant.work() as w:
        link = await reset(w, ann.registry, ann.pk, anybody)
    assert await ann.caller(tokens.access) is None
    with pytest.raises(LoginRefused):
        await ann.login()
    await accept_invite(ann.db, link, OTHER, Client())
    assert await ann.login(OTHER)


# -- logins --------------------------------------------------------------------------------------


async def test_unknown_accounts_are_answered_like_wrong_passwords(ann):
    found = []
    for email, merchant_id in (
        (EMAIL, ann.merchant.id), ("nobody@example.com", ann.merchant.id),
        ("no address", ann.merchant.id),
        (EMAIL, 10**9),
    ):  # fmt: skip
        with pytest.raises(LoginRefused) as caught:
            await log_in(ann.db, merchant_id, email, "wrong password", None, Client())
        found.append((caught.value.message, caught.value.path))
    assert len(set(found)) == 1


def test_a_hash_is_slow_and_that_of_nobody_is_as_slow():
    assert not REAL.check_needs_rehash(NOBODYS)
    assert (REAL.memory_cost, REAL.time_cost) >= (19 * 1024, 2)


async def test_hashes_of_old_parameters_are_renewed(ann, monkeypatch):
    stronger = PasswordHasher(time_cost=2, memory_cost=64, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", stronger)
    assert await ann.login()
    async with ann.merchant.read() as session:
        stored = await session.sql.fetchval(
            "SELECT password_hash FROM staff WHERE merchant_id = $1 AND id = $2",
            ann.merchant.id, ann.pk,
        )  # fmt: skip
    assert "t=2" in stored
    assert await ann.login()


async def test_pauses_grow_for_accounts_that_exist_or_not(ann):
    for email in (EMAIL, "nobody@example.com"):
        for _ in range(5):
            with pytest.raises(LoginRefused):
                await ann.login("wrong password", email=email)
        with pytest.raises(LoginPaused, match="wait 30 seconds"):
            await ann.login(email=email)  # even with the right password
    ann.merchant.clock.move(timedelta(seconds=30))
    with pytest.raises(LoginRefused):
        await ann.login("wrong password")
    with pytest.raises(LoginPaused, match="wait 60 seconds"):
        await ann.login()
    ann.merchant.clock.move(timedelta(seconds=60))
    assert await ann.login()
    with pytest.raises(LoginRefused):
        await ann.login("wrong password")
    assert await ann.login()  # a success has the count begin anew


async def test_tries_at_the_same_time_do_not_slip_through(ann, monkeypatch):
    ends = await asyncio.gather(
        *(ann.login("wrong password") for _ in range(12)), return_exceptions=True
    )
    kinds = [type(end) for end in ends]
    assert kinds.count(LoginRefused) == 5
    assert kinds.count(LoginPaused) == 7


async def test_an_address_is_paused_whatever_accounts_it_tries(ann, monkeypatch):
    monkeypatch.setattr(pauses, "ADDRESS", pauses.Limit(3, timedelta(seconds=30), timedelta(1)))
    for number in range(3):
        with pytest.raises(LoginRefused):
            await ann.login(email=f"n{number}@example.com", address="2001:db8::1")
    with pytest.raises(LoginPaused):  # the same household
        await ann.login(address="2001:db8::abcd")
    assert await ann.login(address="2001:db8:0:1::1")


def test_addresses_have_one_form(installation):
    keyring = installation.db.keyring

    def key(address):
        return address_subject(keyring, address)[0].key

    assert key("192.0.2.7") == key("::ffff:192.0.2.7") != key("192.0.2.8")
    assert key("2001:db8::1%eth0") == key("2001:db8::2") != key("2001:db8:0:1::2")
    assert address_subject(keyring, None) == []
    assert key("testclient")


async def test_the_log_tells_logins_and_failures_but_no_secrets(ann):
    tokens = await ann.login()
    with pytest.raises(LoginRefused):
        await ann.login("wrong password")
    with pytest.raises(LoginRefused):
        await ann.login(email="nobody@example.com")
    log = await ann.log()
    found = [(row["action"], row["actor"]) for row in log]
    assert ("staff.logged_in", f"staff:{ann.pk}") in found
    assert [pair for pair in found if pair[0] == "staff.login_refused"] == [
        ("staff.login_refused", "nobody")
    ] * 2
    text = str([dict(row) for row in log])
    for secret in (PASSWORD, "wrong password", EMAIL, tokens.access[-20:], tokens.refresh[-20:]):
        assert secret not in text


# -- sessions ------------------------------------------------------------------------------------


async def test_sessions_are_short_and_are_renewed(ann):
    tokens = await ann.login()
    caller = await ann.caller(tokens.access)
    assert (caller.staff_id, caller.actor) == (ann.pk, f"staff:{ann.pk}")
    ann.merchant.clock.move(ACCESS_LIFE)
    assert await ann.caller(tokens.access) is None
    again = await refresh_session(ann.db, tokens.refresh)
    assert (await ann.caller(again.access)).session_id == caller.session_id
    assert again.ends_at == tokens.ends_at
    ann.merchant.clock.move(IDLE_LIFE)
    with pytest.raises(SessionEnded):
        await refresh_session(ann.db, again.refresh)


async def test_no_session_lasts_longer_than_a_week(ann):
    tokens = await ann.login()
    for _ in range(SESSION_LIFE // timedelta(hours=8)):
        tokens = await refresh_session(ann.db, tokens.refresh)
        ann.merchant.clock.move(timedelta(hours=8))
    with pytest.raises(SessionEnded):
        await refresh_session(ann.db, tokens.refresh)


async def test_a_refresh_token_used_twice_ends_the_session(ann):
    first = await ann.login()
    other = await ann.login()
    second = await refresh_session(ann.db, first.refresh)
    for garbage in ("", "hr_1_1_x", second.access):
        with pytest.raises(SessionEnded):
            await refresh_session(ann.db, garbage)
    # a guess at the family ends nothing
    parts = first.refresh.split("_")
    with pytest.raises(SessionEnded):
        await refresh_session(ann.db, "_".join([*parts[:3], "0" * 48, parts[4]]))
    assert await ann.caller(second.access)
    with pytest.raises(SessionEnded):
        await refresh_session(ann.db, first.refresh)
    assert await ann.caller(second.access) is None
    with pytest.raises(SessionEnded):
        await refresh_session(ann.db, second.refresh)
    assert await ann.caller(other.access)
    assert "session.reuse_detected" in [row["action"] for row in await ann.log()]


async def test_refreshing_at_the_same_time_gives_one_new_pair(ann):
    tokens = await ann.login()
    ends = await asyncio.gather(
        *(refresh_session(ann.db, tokens.refresh) for _ in range(4)), return_exceptions=True
    )
    assert sum(isinstance(end, SessionEnded) for end in ends) == 3


async def test_another_password_ends_the_other_sessions(ann):
    mine, other = await ann.login(), await ann.login()
    session_id = (await ann.caller(mine.access)).session_id
    arguments = (ann.db, ann.merchant.id, ann.pk, session_id)
    with pytest.raises(LoginRefused):
        await change_password(*arguments, "wrong password", OTHER)
    with pytest.raises(InvalidInput):
        await change_password(*arguments, PASSWORD, "short")
    assert await change_password(*arguments, PASSWORD, OTHER) == 1
    assert await ann.caller(mine.access)
    assert await ann.caller(other.access) is None
    with pytest.raises(LoginRefused):
        await ann.login()
    assert await ann.login(OTHER)


# -- second factor -------------------------------------------------------------------------------


def test_codes_are_those_of_the_standard():
    """RFC 6238, appendix B: the last six of eight digits."""
    from datetime import UTC, datetime

    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # 12345678901234567890
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (2000000000, "279037")):
        now = datetime.fromtimestamp(seconds, UTC)
        assert step_of(secret, code, now, 0) == seconds // 30
        assert step_of(secret, code, now, seconds // 30) is None  # not twice
        assert step_of(secret, code, now + timedelta(seconds=90), 0) is None
    for garbage in ("", "28708", "２８７０８２", "x" * 10_000):
        assert step_of(secret, garbage, datetime.fromtimestamp(59, UTC), 0) is None


def test_recovery_codes_are_random_and_read_in_any_writing():
    codes = new_recovery_codes()
    assert len(set(codes)) == 10
    assert recovery_hash(codes[0]) == recovery_hash(codes[0].upper().replace("-", " "))


async def test_a_second_factor_is_asked_for(ann):
    clock = ann.merchant.clock
    made = await begin_totp(ann.db, ann.merchant.id, ann.pk, PASSWORD)
    assert pyotp.parse_uri(made.uri).secret == made.secret
    assert await ann.login()  # not confirmed yet
    app = pyotp.TOTP(made.secret)
    async with ann.merchant.work() as w:
        with pytest.raises(LoginRefused):
            await confirm_totp(w, ann.pk, "000000")
        codes = await confirm_totp(w, ann.pk, app.at(clock()))
    with pytest.raises(WrongState):
        await begin_totp(ann.db, ann.merchant.id, ann.pk, PASSWORD)
    with pytest.raises(CodeNeeded):
        await ann.login()
    with pytest.raises(LoginRefused):  # the code that confirmed it
        await ann.login(code=app.at(clock()))
    clock.move(timedelta(seconds=30))
    code = app.at(clock())
    with pytest.raises(LoginRefused):
        await ann.login("wrong password", code)
    assert await ann.login(code=code)
    with pytest.raises(LoginRefused):
        await ann.login(code=code)
    assert await ann.login(code=codes[0])
    with pytest.raises(LoginRefused):
        await ann.login(code=codes[0])
    async with ann.merchant.read() as session:
        row = await session.sql.fetchrow(
            "SELECT * FROM staff WHERE merchant_id = $1 AND id = $2", ann.merchant.id, ann.pk
        )
    assert made.secret not in str(dict(row))
    assert codes[1] not in str(dict(row))
    with pytest.raises(LoginRefused):
        await end_totp(ann.db, ann.merchant.id, ann.pk, PASSWORD, "000000")
    await end_totp(ann.db, ann.merchant.id, ann.pk, PASSWORD, codes[1])
    assert await ann.login()


async def test_a_password_does_not_reset_the_count_of_wrong_codes(ann):
    made = await begin_totp(ann.db, ann.merchant.id, ann.pk, PASSWORD)
    async with ann.merchant.work() as w:
        await confirm_totp(w, ann.pk, pyotp.TOTP(made.secret).at(ann.merchant.clock()))
    for _ in range(2):
        with pytest.raises(CodeNeeded):
            await ann.login()
        with pytest.raises(LoginRefused):
            await ann.login(code="000000")
    with pytest.raises(CodeNeeded):
        await ann.login()
    with pytest.raises(LoginPaused):
        await ann.login(code="000000")
