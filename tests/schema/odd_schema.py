"""A schema in which everything can go wrong, each object's fields always in the same way."""

import asyncio
import random
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar

import strawberry
from strawberry.extensions import FieldExtension

from core.schema.executor.later import Later
from core.schema.rows import reads

T = TypeVar("T")
GIVEN = datetime(2026, 6, 1, 10, tzinfo=UTC)
WRONG = (None, RuntimeError("given"), object(), ["x"], {"x": 1})


class Context:
    """Keeps promises, and says how often fields go wrong."""

    def __init__(self, rate):
        self.rate = rate
        self.fetched = []
        self.turns = []

    async def fetch(self, batch, pks):
        self.fetched.append(pks)
        await asyncio.sleep(0)
        return await batch(None, pks)

    async def join(self, later):
        found = (await self.fetch(later.batch, [later.pk])).get(later.pk)
        return later.missing if found is None else found


@strawberry.enum
class Colour(Enum):
    RED = "r"
    BLUE = "b"


class Odd(FieldExtension):
    def resolve(self, next_, source, info, **arguments):
        return next_(source, info, **arguments)


def outcome(info, seed, name, good):
    """What `good` makes, or None, or an error that is raised or returned."""
    chance = random.Random(f"{seed}/{name}").random() / max(info.context.rate, 1e-9)
    if chance < 0.3:
        return None
    if chance < 0.7:
        raise ValueError(f"{name} of {seed} is broken")
    if chance < 1:
        return RuntimeError(f"{name} of {seed} was given")
    return good()


def attribute(rate, seed, name, good):
    """A value for a plain attribute, or something that is none."""
    rng = random.Random(f"{seed}/{name}")
    return rng.choice(WRONG) if rng.random() < rate else good


def thing(context, seed):
    if random.Random(f"{seed}/class").random() < 0.5:
        return make(Thing, context, seed)
    return make(Other, context, seed)


def make(cls, context, seed):
    values = {
        "title": "t", "size": 7, "ratio": 0.5, "colour": Colour.RED, "at": GIVEN,
        "price": Decimal("1.50"), "flags": [True, False], "words": ["a", None],
        "coin": coin(context, seed, "c"), "must_coin": coin(context, seed, "m"),
    }  # fmt: skip
    return cls(seed=seed, **{
        name: attribute(context.rate, seed, name, value)
        for name, value in values.items() if cls is Thing or name in ("title", "size")
    })  # fmt: skip


def coin(context, seed, letter):
    values = {"amount": Decimal("2.00"), "kind": "c", "side": Side(name="heads")}
    return Coin(**{
        name: attribute(context.rate, seed + letter, name, value) for name, value in values.items()
    })  # fmt: skip


Either = Annotated["Thing | Other", strawberry.union("Either")]


@strawberry.type
class Box(Generic[T]):
    held: T
    all: list[T | None]


@strawberry.type
class Side:
    name: str | None


@strawberry.type
class Coin:
    """With nothing but values, as money is."""

    amount: Decimal
    kind: str | None
    side: Side | None


@strawberry.interface
class Named:
    seed: strawberry.Private[str]
    title: str
    size: int | None

    @strawberry.field
    def label(self, info: strawberry.Info, prefix: str = "l") -> str | None:
        return outcome(info, self.seed, "label", lambda: prefix + self.seed)


@strawberry.type
class Other(Named):
    @strawberry.field
    def strict(self, info: strawberry.Info) -> str:
        return outcome(info, self.seed, "strict", lambda: "s")

    @strawberry.field
    def thing(self, info: strawberry.Info) -> "Thing":
        return outcome(info, self.seed, "thing",
                       lambda: make(Thing, info.context, self.seed + "t"))  # fmt: skip


@strawberry.type
class Thing(Named):
    ratio: float | None
    colour: Colour
    at: datetime
    price: Decimal | None
    flags: list[bool]
    words: list[str | None] | None
    coin: Coin | None
    must_coin: Coin

    @property
    def row(self):
        return {"seed": self.seed}

    def _one(self, info, name):
        return outcome(info, self.seed, name,
                       lambda: make(Thing, info.context, f"{self.seed}{name[0]}"))  # fmt: skip

    def _some(self, info, name, wrap=lambda made: made):
        count = random.Random(f"{self.seed}{name}").randrange(4)

        def one(number):
            seed = f"{self.seed}{name[0]}{number}"
            chance = random.Random(seed).random() / max(info.context.rate, 1e-9)
            if chance < 0.5:
                return None
            if chance < 1:
                return RuntimeError(f"item {seed}")
            return wrap(make(Thing, info.context, seed))

        return outcome(info, self.seed, name, lambda: [one(number) for number in range(count)])

    @strawberry.field
    def strict(self, info: strawberry.Info) -> str:
        return outcome(info, self.seed, "strict", lambda: "s")

    @strawberry.field(extensions=[Odd()])
    def odd(self, info: strawberry.Info) -> str | None:
        return outcome(info, self.seed, "odd", lambda: "o")

    @strawberry.field
    async def slow(self, info: strawberry.Info) -> int:
        return outcome(info, self.seed, "slow", lambda: 3)

    @strawberry.field
    async def slower(self, info: strawberry.Info) -> int | None:
        await asyncio.sleep(0)
        return outcome(info, self.seed, "slower", lambda: 4)

    @strawberry.field
    def awaited(self, info: strawberry.Info) -> int | None:
        async def later() -> Any:
            return outcome(info, self.seed, "awaited", lambda: 5)

        return later()

    @strawberry.field
    def part(self, info: strawberry.Info) -> "Thing | None":
        return self._one(info, "part")

    @strawberry.field
    def must(self, info: strawberry.Info) -> "Thing":
        return self._one(info, "must")

    @strawberry.field
    async def slow_part(self, info: strawberry.Info) -> "Thing | None":
        return self._one(info, "slow_part")

    @strawberry.field
    async def slow_must(self, info: strawberry.Info) -> "Thing":
        return self._one(info, "slow_must")

    @strawberry.field
    def parts(self, info: strawberry.Info) -> "list[Thing]":
        return self._some(info, "parts")

    @strawberry.field
    def maybe_parts(self, info: strawberry.Info) -> "list[Thing | None] | None":
        found = self._some(info, "maybe_parts")
        return tuple(found) if isinstance(found, list) else found

    @strawberry.field
    def grid(self, info: strawberry.Info) -> "list[list[Thing | None]] | None":
        return outcome(info, self.seed, "grid",
                       lambda: [self._some(info, "grid"), (), self._some(info, "row")])  # fmt: skip

    @strawberry.field
    def no_list(self, info: strawberry.Info) -> "list[Thing | None] | None":
        return outcome(info, self.seed, "no_list", lambda: self)

    @strawberry.field
    def streamed(self, info: strawberry.Info) -> "list[Thing | None] | None":
        return iter(self._some(info, "streamed") or ())

    @strawberry.field
    def awaited_parts(self, info: strawberry.Info) -> "list[Thing | None] | None":
        async def later(made: Any) -> Any:
            return made

        return self._some(info, "awaited_parts", later)

    @strawberry.field
    def box(self, info: strawberry.Info) -> "Box[Thing] | None":
        return outcome(info, self.seed, "box", lambda: Box(
            held=self._one(info, "box"), all=self._some(info, "xall")
        ))  # fmt: skip

    @strawberry.field
    def either(self, info: strawberry.Info) -> Either | None:
        return outcome(info, self.seed, "either", lambda: thing(info.context, self.seed + "e"))

    @strawberry.field
    def wrong(self, info: strawberry.Info) -> Either | None:
        return outcome(info, self.seed, "wrong", object)

    @strawberry.field
    def named(self, info: strawberry.Info) -> list[Named | None] | None:
        return outcome(info, self.seed, "named", lambda: [
            thing(info.context, f"{self.seed}n{number}") for number in range(3)
        ])  # fmt: skip

    @strawberry.field
    def promised(self, info: strawberry.Info) -> "Thing | None":
        return Later("promised", self.seed, batch(info, "p"), None, info.context)

    @strawberry.field
    def promised_all(self, info: strawberry.Info) -> "list[Thing]":
        return Later("promised_all", self.seed, batches(info), [], info.context)

    @reads(pk="seed")
    def promised_by_key(self, info: strawberry.Info) -> "Thing | None":
        return Later("by_key", self.seed, batch(info, "k"), None, info.context)

    @reads(pk="seed")
    def all_by_key(self, info: strawberry.Info) -> "list[Thing]":
        return Later("all_by_key", self.seed, batches(info), [], info.context)

    @reads(pk="seed")
    def badly_by_key(self, info: strawberry.Info) -> "list[Thing] | None":
        async def fail(_session: Any, _pks: Any) -> Any:
            raise ValueError("the whole batch")

        return Later("badly_by_key", self.seed, fail, [], info.context)

    @reads(pk="seed")
    def never_by_key(self, info: strawberry.Info) -> "list[Thing] | None":
        raise ValueError("not with this token")

    @reads(pk="seed")
    def none_by_key(self, info: strawberry.Info) -> "Thing | None":
        return None

    @strawberry.field
    def promised_badly(self, info: strawberry.Info) -> "Thing | None":
        async def fail(_session: Any, _pks: Any) -> Any:
            raise ValueError("the whole batch")

        return Later("promised_badly", self.seed, fail, None, info.context)


def batch(info, letter):
    async def load(_session, pks):
        return {
            pk: make(Thing, info.context, f"{pk}{letter}")
            for pk in pks if random.Random(pk).random() > info.context.rate
        }  # fmt: skip

    return load


def batches(info):
    async def load(_session, pks):
        return {
            pk: [make(Thing, info.context, f"{pk}q{n}") for n in range(2)]
            for pk in pks if random.Random(pk).random() > info.context.rate
        }  # fmt: skip

    return load


@strawberry.type
class Query:
    @strawberry.field
    async def things(self, info: strawberry.Info, count: int = 2) -> list[Thing | None]:
        return [make(Thing, info.context, f"{n}") for n in range(count)]

    @strawberry.field
    def thing(self, info: strawberry.Info) -> Thing:
        return make(Thing, info.context, "one")

    @strawberry.field
    async def named(self, info: strawberry.Info) -> Named | None:
        return thing(info.context, "named")

    @strawberry.field
    def number(self) -> int | None:
        return 1


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def change(self, info: strawberry.Info, seed: str) -> Thing | None:
        return outcome(info, seed, "change", lambda: make(Thing, info.context, seed))

    @strawberry.mutation
    async def take_a_turn(self, info: strawberry.Info, name: str) -> Thing | None:
        info.context.turns.append(f"{name} begins")
        await asyncio.sleep(0)
        info.context.turns.append(f"{name} ends")
        return make(Thing, info.context, name)

    @strawberry.mutation
    def change_strictly(self, info: strawberry.Info, seed: str) -> Thing:
        return outcome(info, seed, "strictly", lambda: make(Thing, info.context, seed))
