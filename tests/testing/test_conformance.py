"""The bundled plugins keep the rules, and whoever breaks one is told."""

import re
from dataclasses import replace
from importlib.metadata import EntryPoint

import asyncpg
import pytest

from core.builtin import CorePlugin
from core.registry import GROUP, load
from core.sdk.hooks import HookDeprecated, Hooks
from core.storage.database import credentials
from core.testing import PluginFault, check_plugin

BAD = """
from typing import Any
import strawberry
from core.schema.context import Info
from core.sdk import *

async def hello(info: Info) -> str | None: ...

class Odd(HuikeError):
    code, cause, cure = "BAD_ODD", "odd", "Try again."

class Plugin:
    manifest = Manifest(name="bad", title="Bad", version="1.0", core=">=0.1,<0.2")
    @hookimpl
    def schema_fields(self):
        field = strawberry.field(resolver=hello, description="Hello.")
        return [SchemaField("Mutation", "badHello", field, "SHOPS_READ", "1.0")]
    @hookimpl
    def error_codes(self):
        return [Odd]

plugin = Plugin()
"""
TABLE = "CREATE TABLE bad_visits (id bigint PRIMARY KEY, merchant_id bigint, customer_id bigint)"


@pytest.mark.parametrize(
    "name", ["aliexpress", "coupons", "email", "packages", "sms", "taobao", "woocommerce"]
)
async def test_a_bundled_plugin_keeps_the_rules(installation, name):
    await check_plugin(installation, name)


async def test_every_rule_that_is_broken_is_told(installation, tmp_path, monkeypatch):
    (tmp_path / "bad_plugin.py").write_text(BAD)
    monkeypatch.syspath_prepend(tmp_path)
    going = HookDeprecated("0.1", "0.3", "do without")
    monkeypatch.setitem(Hooks.error_codes.huike_spec, "warn_on_impl", going)
    with pytest.warns(HookDeprecated):
        registry = load(CorePlugin(), found=[EntryPoint("bad", "bad_plugin:plugin", GROUP)])
    sql = await asyncpg.connect(**credentials(installation.database_url))
    try:
        await sql.execute(TABLE)
        with pytest.raises(PluginFault) as told:
            await check_plugin(replace(installation, registry=registry), "bad")
    finally:
        await sql.execute("DROP TABLE IF EXISTS bad_visits")
        await sql.close()
    assert str(told.value).splitlines() == [
        "the plugin bad breaks rules:",
        "the hook error_codes is deprecated since 0.1, works until 0.3: do without",
        "Mutation.badHello: answers with a BadHelloPayload that may be null",
        "BAD_ODD: its cause is a sentence for people",
        "bad_visits: its primary key begins with merchant_id",
        "bad_visits: it has a customer_id, so personal_tables tells of it",
    ]


async def test_a_plugin_that_is_not_there_is_told(installation):
    with pytest.raises(PluginFault, match="no plugin none is installed"):
        await check_plugin(installation, "none")
    registry = replace(installation.registry, broken={"none": "failed to load: ImportError: x"})
    with pytest.raises(PluginFault, match=re.escape("none failed to load: ImportError: x")):
        await check_plugin(replace(installation, registry=registry), "none")
