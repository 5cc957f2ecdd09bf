"""A merchant's settings of a plugin: validated, tried, sealed, shown without their secrets."""

from dataclasses import replace
from decimal import Decimal
from enum import StrEnum

import pytest
from pydantic import BaseModel, HttpUrl, SecretStr

from core.domain.shops.plugins import (
    SECRET_KEPT,
    SettingsRefused,
    disable_plugin,
    enable_plugin,
    enabled_plugins,
    plugin_settings,
    shown_settings,
)
from core.registry import Owned
from core.sdk import Manifest, NotFound, PluginDisabled, Refused, SettingsCheck, Several
from core.sdk.errors import HuikeError


class Mode(StrEnum):
    FAST = "fast"


class Login(BaseModel):
    user: str
    password: SecretStr


class SmsSettings(BaseModel, extra="forbid"):
    account: str
    secret: SecretStr
    limit: int = 5
    price: Decimal = Decimal("0.04")
    mode: Mode = Mode.FAST
    url: HttpUrl | None = None
    spare: SecretStr | None = None
    login: Login | None = None


@pytest.fixture
def tried():
    return []


@pytest.fixture
def registry(installation, tried):
    async def check(settings):
        tried.append(settings.secret.get_secret_value())
        if settings.account == "locked":
            raise Refused("the provider says: account locked")

    manifest = Manifest(
        name="sms", title="SMS", version="1", core=">=0.1", settings=SmsSettings, timeout=1
    )
    return replace(
        installation.registry,
        manifests={"sms": manifest},
        settings_checks={"sms": Owned("sms", SettingsCheck("sms", check))},
    )


@pytest.fixture
def enable(merchant, registry):
    async def run(**settings):
        await enable_plugin(merchant.installation.db, merchant.id, registry, "sms", settings)

    return run


async def stored(merchant, registry):
    async with merchant.read() as session:
        return await plugin_settings(session, registry, "sms")


async def shown(merchant, registry):
    async with merchant.read() as session:
        return await shown_settings(session, registry, "sms")


async def test_settings_are_tried_sealed_and_given_back(merchant, registry, enable, tried):
    await enable(account="a", secret="hunter2", url="https://sms.example/x")
    assert tried == ["hunter2"]
    settings = await stored(merchant, registry)
    assert settings == SmsSettings(account="a", secret="hunter2", url="https://sms.example/x")
    async with merchant.read() as session:
        sealed = await session.sql.fetchval(
            "SELECT settings_sealed FROM plugin_states WHERE merchant_id = $1 AND plugin = 'sms'",
            merchant.id,
        )
        assert b"hunter2" not in sealed
        assert "sms" in await enabled_plugins(session)


async def test_secrets_are_shown_as_stars_and_kept_when_given_back(
    merchant, registry, enable, tried
):
    await enable(account="a", secret="hunter2", spare="other")
    form = await shown(merchant, registry)
    assert (form["secret"], form["spare"], form["account"]) == (SECRET_KEPT, SECRET_KEPT, "a")
    await enable(**form | {"account": "b"})
    settings = await stored(merchant, registry)
    assert settings.account == "b"
    assert settings.secret.get_secret_value() == tried[-1] == "hunter2"
    assert settings.spare.get_secret_value() == "other"
    await enable(**form | {"secret": "new"})
    assert (await stored(merchant, registry)).secret.get_secret_value() == "new"


async def test_secrets_inside_other_settings_are_hidden_and_kept_too(merchant, registry, enable):
    await enable(account="a", secret="s", login={"user": "u", "password": "hunter2"})
    form = await shown(merchant, registry)
    assert form["login"] == {"user": "u", "password": SECRET_KEPT}
    await enable(**form)
    assert (await stored(merchant, registry)).login.password.get_secret_value() == "hunter2"


async def test_stars_where_nothing_is_stored_are_an_error(enable):
    with pytest.raises((HuikeError, Several)) as caught:
        await enable(account="a", secret=SECRET_KEPT)
    assert [error.path for error in caught.value.errors] == [("input", "settings", "secret")]


async def test_every_mistake_is_told_with_its_path_and_without_its_value(merchant, enable, tried):
    with pytest.raises((HuikeError, Several)) as caught:
        await enable(account=5, limit="many-hunter2", extra=1)
    paths = {error.path for error in caught.value.errors}
    names = ("account", "secret", "limit", "extra")
    assert paths == {("input", "settings", name) for name in names}
    assert "hunter2" not in str(caught.value)
    assert tried == []
    async with merchant.read() as session:
        assert "sms" not in await enabled_plugins(session)


async def test_what_the_outside_refuses_is_not_stored(merchant, registry, enable):
    await enable(account="a", secret="old")
    with pytest.raises(SettingsRefused, match="account locked"):
        await enable(account="locked", secret="new")
    assert (await stored(merchant, registry)).secret.get_secret_value() == "old"


async def test_a_disabled_plugin_says_so_and_keeps_its_settings(merchant, registry, enable):
    await enable(account="a", secret="hunter2")
    async with merchant.work() as w:
        await disable_plugin(w, registry, "sms")
    with pytest.raises(PluginDisabled):
        await stored(merchant, registry)
    assert (await shown(merchant, registry))["account"] == "a"
    await enable(account="b", secret=SECRET_KEPT)
    assert (await stored(merchant, registry)).secret.get_secret_value() == "hunter2"


async def test_a_plugin_never_enabled_or_uninstalled_is_disabled(merchant, registry, enable):
    with pytest.raises(PluginDisabled):
        await stored(merchant, registry)
    await enable(account="a", secret="s")
    with pytest.raises(PluginDisabled):
        await stored(merchant, replace(registry, manifests={}))


async def test_an_unknown_plugin_is_named(merchant, registry):
    with pytest.raises(NotFound, match="'smms'; installed are: sms"):
        await enable_plugin(merchant.installation.db, merchant.id, registry, "smms", {})


async def test_settings_of_one_merchant_do_not_open_for_another(merchant, registry, enable):
    await enable(account="a", secret="s")
    async with merchant.installation.db.read(merchant.id + 10**6) as session:
        assert await shown_settings(session, registry, "sms") == {}
