"""Fields of plugins as installed packages bring them: what is refused, shown, and survived."""

import textwrap
from importlib.metadata import EntryPoint

import pytest

from core.builtin import CorePlugin
from core.domain.shops.plugins import disable_plugin, enable_plugin
from core.registry import GROUP, RegistryError, load
from core.schema.build import build_schema
from tests.schema.conftest import ask_of
from tests.schema.test_lists import add

MODULE = """
import asyncio
from typing import Any
import strawberry
from core.schema.context import Info
from core.schema.errors import UserError
from core.schema.pages import After, Connection, First
from core.sdk import *

@strawberry.type(name="{name}Thing")
class Thing:
    size: int
    @strawberry.field
    async def slow(self) -> int | None:
        await asyncio.sleep(60)
    @strawberry.field
    async def broken(self, info: Info) -> int | None:
        raise RuntimeError("password=hunter2")
    @strawberry.field
    async def fine(self, info: Info) -> int:
        return info.context.merchant_id * 0 + 7

@strawberry.type(name="Money")
class Money:
    size: int

@strawberry.type(name="Shared")
class Shared:
    size: int

async def hello(self: Any, info: Info) -> str | None:
    return "hello"
async def strict(self: Any, info: Info) -> str:
    return "hello"
async def hang(self: Any, info: Info) -> str | None:
    await asyncio.sleep(60)
async def broken(self: Any, info: Info) -> str | None:
    raise RuntimeError("password=hunter2")
def nothing(self: Any) -> str | None: ...
async def thing(info: Info) -> Thing | None:
    return Thing(size=1)
async def things(info: Info) -> list[Thing] | None: ...
async def pages(info: Info, first: First = 20, after: After = None) -> Connection[Thing] | None: ...
async def endless(info: Info) -> Connection[Thing] | None: ...
async def money(self: Any, info: Info) -> Money | None: ...
async def shared(self: Any, info: Info) -> Shared | None: ...

def field(resolver, **more):
    return strawberry.field(resolver=resolver, description="A field.", **more)

class Plugin:
    manifest = Manifest(name="{name}", title="T", version="1.2", core=">=0.1,<0.2", timeout=0.1)
    @hookimpl
    def schema_fields(self):
        return [SchemaField({field})]

plugin = Plugin()
"""


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """Writes plugins of one field each, given as the arguments of SchemaField, and loads them."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(**fields):
        points = []
        for name, field in fields.items():
            module = f"{name}_{tmp_path.name.replace('-', '_')}"
            text = MODULE.format(name=name, field=field)
            (tmp_path / f"{module}.py").write_text(textwrap.dedent(text))
            points.append(EntryPoint(name, f"{module}:plugin", GROUP))
        registry = load(CorePlugin(), found=points)
        assert registry.broken == {}
        return registry

    return write


HELLO = '"Customer", "mottoText", field(hello), "SHOPS_READ", "1.0"'
DENIED = {
    '"Segment", "x", field(hello), "SHOPS_READ", "1.0"': "added to Query, Mutation, Customer",
    '"Customer", "a-b", field(hello), "SHOPS_READ", "1.0"': "likeThis",
    '"Customer", "a_b", field(hello), "SHOPS_READ", "1.0"': "likeThis",
    '"Customer", "phone", field(hello), "SHOPS_READ", "1.0"': "core has already",
    '"Customer", "nameRedacted", field(hello), "SHOPS_READ", "1.0"': "core has already",
    '"Customer", "x", None, "SHOPS_READ", "1.0"': "not a strawberry field",
    '"Customer", "x", field(hello), "FLY", "1.0"': "unknown permission FLY",
    '"Customer", "x", field(strict), "SHOPS_READ", "1.0"': "nullable",
    '"Customer", "x", field(nothing), "SHOPS_READ", "1.0"': "take `info`",
    '"Query", "mottoAll", field(things), "SHOPS_READ", "1.0"': "declares no cost.*cost=1",
    '"Query", "mottoAll", field(pages), "SHOPS_READ", "1.0"': "declares no cost.*cost=1",
    '"Query", "mottoAll", field(pages), "SHOPS_READ", "1.0", cost=-1': "cost below 0",
    '"Query", "mottoAll", field(endless), "SHOPS_READ", "1.0", cost=1': "take `first`",
    '"Customer", "x", field(hello), "SHOPS_READ", "1.0", emits=(OrderCreated,)': "only mutations",
    '"Mutation", "mottoX", field(hello), "SHOPS_READ", "1.0", emits=("a.b",)': "no subclasses",
    '"Customer", "x", field(hello), "SHOPS_READ", "1.3"': "since 1.3, but the plugin is 1.2",
    '"Customer", "x", field(hello), "SHOPS_READ", "soon"': "since when.*soon",
}  # fmt: skip


@pytest.mark.parametrize("field", DENIED)
def test_a_field_that_breaks_a_rule_is_named_with_its_plugin(loaded, field):
    owner, name = field.split('"')[1:4:2]
    with pytest.raises(RegistryError, match=rf"plugin motto: the field {owner}.{name} ") as told:
        build_schema(loaded(motto=field))
    told.match(DENIED[field])
    told.match("HUIKE_SKIP_PLUGINS=motto")


def test_two_plugins_with_one_field_stop_the_start_and_are_both_named(loaded):
    with pytest.raises(RegistryError, match=r"plugins motto and other .*'Customer.mottoText'"):
        loaded(motto=HELLO, other=HELLO)


def test_two_plugins_with_one_type_stop_the_start_and_are_both_named(loaded):
    both = {name: f'"Customer", "{name}X", field(shared), "SHOPS_READ", "1.0"'
            for name in ("motto", "other")}  # fmt: skip
    with pytest.raises(RegistryError, match=r"Shared.* by plugin motto and plugin other: .*=other"):
        build_schema(loaded(**both))


def test_a_plugins_type_cannot_take_the_name_of_one_of_core(loaded):
    registry = loaded(motto='"Customer", "x", field(money), "SHOPS_READ", "1.0"')
    with pytest.raises(RegistryError, match=r"Money.* by core and plugin motto: .*=motto"):
        build_schema(registry)


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        (HELLO, '@requires(permission: "SHOPS_READ") @plugin(name: "motto", since: "1.0")'),
        ('"Customer", "x", field(hello, deprecation_reason="Since 2026-11-26: use y."), '
         '"SHOPS_READ", "1.0"', '@deprecated(reason: "Since 2026-11-26: use y.")'),
        ('"Query", "mottoAll", field(pages), "SHOPS_READ", "1.2", cost=3', "@cost(weight: 3)"),
        ('"Mutation", "mottoX", field(hello), "SHOPS_READ", "1.0", '
         'emits=(OrderCreated, MemberLeft)', '@emits(events: ["order.created", "member.left"])'),
    ],
)  # fmt: skip
def test_what_a_field_declares_is_shown_in_its_schema_only(loaded, installation, field, shown):
    name = field.split('"')[3]
    lines = build_schema(loaded(motto=field)).as_str().splitlines()
    assert any(shown in line for line in lines if name in line or line.startswith("  )"))
    assert f" {name}" not in build_schema(installation.registry).as_str()


async def ask(world, registry, query, enabled=True):
    if enabled:
        installation = world.merchant.installation
        await enable_plugin(installation.db, world.merchant.id, registry, "motto", {})
    return await ask_of(world, registry, query)


QUERY = "{ customers(first: 2) { nodes { name mottoText } } }"


@pytest.mark.parametrize(
    ("resolver", "value", "errors"),
    [("hello", "hello", []), ("hang", None, ["INTERNAL"] * 2), ("broken", None, ["INTERNAL"] * 2)],
)
async def test_a_dead_plugin_blanks_its_own_fields_only(loaded, world, resolver, value, errors):
    registry = loaded(motto=HELLO.replace("hello", resolver))
    answer = await ask(world, registry, QUERY)
    assert [one["name"] for one in answer.data["customers"]["nodes"]] == ["赵六", "李四"]
    assert [one["mottoText"] for one in answer.data["customers"]["nodes"]] == [value] * 2
    found = answer.errors or []
    assert [one.extensions["code"] for one in found] == errors
    assert "hunter2" not in str(found)
    assert all("plugin motto" in one.message for one in found)


async def test_a_dead_part_of_a_plugins_own_type_blanks_itself_only(loaded, world):
    registry = loaded(motto='"Query", "mottoThing", field(thing), "SHOPS_READ", "1.0"')
    query = "{ mottoThing { size slow broken fine } customers(first: 1) { nodes { name } } }"
    answer = await ask(world, registry, query)
    assert answer.data["customers"]["nodes"] == [{"name": "赵六"}]
    assert answer.data["mottoThing"] == {"size": 1, "slow": None, "broken": None, "fine": 7}
    assert [one.path for one in answer.errors] == [["mottoThing", "slow"], ["mottoThing", "broken"]]


async def test_a_plugin_that_fails_often_is_left_alone_for_a_while(loaded, world):
    registry = loaded(motto=HELLO.replace("hello", "broken"))
    told = [str((await ask(world, registry, QUERY, not n)).errors) for n in range(4)]
    assert "rests for a while" not in told[0]
    assert "rests for a while" in told[3]


async def test_a_plugin_that_is_off_blanks_its_field(loaded, world):
    registry = loaded(motto=HELLO)
    await ask(world, registry, QUERY)
    async with world.merchant.work() as w:
        await disable_plugin(w, registry, "motto")
    answer = await ask(world, registry, QUERY, enabled=False)
    assert answer.data["customers"]["nodes"][0] == {"name": "赵六", "mottoText": None}
    assert "not switched on" in answer.errors[0].message


async def test_a_page_asks_once_whether_the_plugin_is_on(loaded, world, budgets):
    await add(world.merchant, 90)
    answer = await ask(world, loaded(motto=HELLO), QUERY.replace("2", "90"))
    assert [one["mottoText"] for one in answer.data["customers"]["nodes"]] == ["hello"] * 90
    # the page, and whether the plugin is on
    assert [one.spent for one in budgets] == [2]
