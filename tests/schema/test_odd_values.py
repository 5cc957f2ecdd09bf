"""Whatever a client writes as a value, the answer is its fault and never the server's."""

import random
from base64 import b64encode

import pytest
import pytest_asyncio
from graphql import (
    GraphQLList,
    GraphQLNonNull,
    build_schema,
    get_named_type,
    is_enum_type,
    is_input_object_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

from core.schema.errors import INTERNAL
from core.schema.scalars import global_id
from tests.docs.test_docs import ROOT
from tests.schema.conftest import new_world
from tests.schema.test_faults import leads

SCHEMA = build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))
LONG = "长" * 100_000
ODD = {
    "ID": ["", "a\x00b", LONG, -1, 2**40, True, [], {}, global_id("Customer", 10**30),
           global_id("Customer", -1), global_id("Order", 2**63), global_id("Nope", 1),
           b64encode("Shop:１".encode()).decode(), b64encode(b"Job:1\x00").decode()],
    "String": ["", " ", "a\x00b", LONG, "\u202e", "%_\\", "'; drop table x", "{{ 7*7 }}", "{{",
               "a\r\nb", "\ufffe", "../../x", "http://169.254.169.254/", 5, True, [], {}],
    "PhoneNumber": ["", "a\x00b", LONG, "138****1234", "13800138000-1234", 13800138000, True, []],
    "Int": [0, -1, 2**31 - 1, -(2**31), 2**31, 2**63, 1.5, "1", True, [], {}],
    "Boolean": [0, "true", [], {}],
    "Decimal": ["", "1e999999", "1e-29", "NaN", "-Infinity", "-0", "9" * 400, "0.001", "-1", "1E5",
                "1_000", "１.５", 1e308, True, [], {}],
    "DateTime": ["", "2026-01-01", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00",
                 "2026-02-30T00:00:00Z", "2026-01-01T00:00:00+99:99", "a\x00", 5, [], {}],
    "Date": ["", "2026-02-30", "9999-12-31", "0001-01-01", "-001-01-01", 5, [], {}],
    "Time": ["", "24:00", "23:59:60", "12:00+08:00", 5, [], {}],
    "JSON": [None, {}, [], "x", True, {"a": "\x00"}, {"\x00": 1}, {"a": [[[[{}]]]]}, {"": LONG}],
    "Upload": [None, "x", {}],
}  # fmt: skip
PLAIN = {
    "String": "abc", "Int": 3, "Boolean": True, "Decimal": "12.50", "Date": "2026-06-01",
    "DateTime": "2026-06-01T00:00:00+08:00", "Time": "09:00", "JSON": {"a": 1}, "Upload": None,
    "PhoneNumber": "13800138000",
}  # fmt: skip
FIELDS = [
    (word, name, field)
    for word, root in (("query", SCHEMA.query_type), ("mutation", SCHEMA.mutation_type))
    for name, field in root.fields.items()
    if field.args
]


class Maker:
    """Makes arguments of which one value is odd, the same ones each time."""

    def __init__(self, name, ids):
        self.random = random.Random(name)
        self.ids = sorted(one for one in ids.values() if isinstance(one, str))

    def value(self, kind, odd, depth=0):
        """A plausible value; with `odd`, one of the values in it is not."""
        if isinstance(kind, GraphQLNonNull):
            return self.value(kind.of_type, odd, depth)
        if odd and self.random.random() < 0.1:
            return self.random.choice([[], {}, "x", 5, [None], "a\x00"])
        if isinstance(kind, GraphQLList):
            return [self.value(kind.of_type, odd, depth + 1)]
        if is_enum_type(kind):
            return "NONE_SUCH" if odd else self.random.choice(sorted(kind.values))
        if is_input_object_type(kind):
            return self.object(kind, odd, depth)
        if odd:
            return self.random.choice(ODD[kind.name])
        return self.random.choice(self.ids) if kind.name == "ID" else PLAIN[kind.name]

    def object(self, kind, odd, depth):
        names = [name for name, one in kind.fields.items() if is_required_input_field(one)]
        if kind.is_one_of or not names or self.random.random() < 0.5:
            more = [name for name in kind.fields if name not in names]
            if more and depth < 5:
                names.append(self.random.choice(more))
        wrong = self.random.choice(names) if odd and names else None
        return {
            name: self.value(kind.fields[name].type, name == wrong, depth + 1) for name in names
        }

    def arguments(self, field):
        names = [
            name for name, one in field.args.items()
            if is_required_argument(one) or self.random.random() < 0.6
        ] or list(field.args)[:1]  # fmt: skip
        wrong = self.random.choice(names)
        return {name: self.value(field.args[name].type, name == wrong) for name in names}


def asked(kind, depth=0):
    """A selection of what needs no arguments, not deep."""
    kind = get_named_type(kind)
    if is_leaf_type(kind):
        return ""
    fields = getattr(kind, "fields", {})
    plain = [
        name for name, one in fields.items()
        if is_leaf_type(get_named_type(one.type))
        and not any(map(is_required_argument, one.args.values()))
    ]  # fmt: skip
    nodes = [f"nodes {asked(fields['nodes'].type, depth + 1)}"] if "nodes" in fields else []
    return "{ " + " ".join(["__typename", *plain, *nodes]) + " }"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def odd_world(installation):
    return await new_world(installation, "Odd")


@pytest.mark.parametrize(("word", "name", "field"), FIELDS, ids=[name for _, name, _ in FIELDS])
async def test_odd_values_are_the_clients_fault(api, odd_world, word, name, field):
    maker = Maker(name, odd_world.ids)
    variables = ", ".join(f"${one}: {given.type}" for one, given in field.args.items())
    arguments = ", ".join(f"{one}: ${one}" for one in field.args)
    wrong = " errors { path } }" if word == "mutation" else " }"
    selection = asked(field.type).removesuffix(" }") + wrong if asked(field.type) else ""
    query = f"{word} ({variables}) {{ {name}({arguments}) {selection} }}"
    for _ in range(3):
        given = maker.arguments(field)
        asks = {"query": query, "variables": given}
        answer = (await api.raw(asks, odd_world.token)).json()
        codes = [one["extensions"]["code"] for one in answer.get("errors", ())]
        assert INTERNAL not in codes, (given, answer)
        told = (answer.get("data") or {}).get(name) if word == "mutation" else None
        for error in (told or {}).get("errors", ()):
            assert leads(error["path"], name), (error, given)
