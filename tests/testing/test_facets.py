"""The check for plugins' facets passes a good one, and says what is wrong with others."""

from dataclasses import dataclass

import pytest

from core.sdk import Facet, Fault, Rows, Text
from core.testing import FacetFault, check_facet


@dataclass(frozen=True)
class WordRule:
    """Who has a tag that begins with this word."""

    word: str
    at_most: int | None = None


class Good(Facet):
    name = "words_tag"
    title = Text("Tag begins with", "标签开头")
    rule = WordRule

    def check(self, rule):
        return None if rule.word else Fault("is empty", ("word",))

    def sql(self, rule, q):
        return q.has(self.rows(rule, q))

    def found(self, rule, q):
        return q.value(self.rows(rule, q), "min(t.tag)")

    def explain(self, rule, say):
        return say(f"has a tag with {rule.word}", f"标签以{rule.word}开头")

    def rows(self, rule, q):
        return Rows("customer_tags t", "t.customer_id", [f"starts_with(t.tag, {q.arg(rule.word)})"])


@pytest.fixture
async def tagged(merchant):
    """Ids of three customers, of whom the first two have a tag."""
    async with merchant.work() as w:
        rows = await w.sql.fetch(
            """INSERT INTO customers (merchant_id, version, created_at, updated_at)
               SELECT $1, 1, $2, $2 FROM generate_series(1, 3) RETURNING id""",
            w.merchant_id, w.now,
        )  # fmt: skip
        ids = [row["id"] for row in rows]
        await w.sql.execute(
            """INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)
               SELECT $1, n, 'green tea', 'staff', $3 FROM unnest($2::bigint[]) AS n""",
            w.merchant_id, ids[:2], w.now,
        )  # fmt: skip
    return ids


async def test_a_good_facet_tells_whom_it_matches(merchant, tagged):
    assert await check_facet(merchant, Good(), {"word": "green"}) == set(tagged[:2])
    assert await check_facet(merchant, Good(), {"word": "black'"}) == set()


@dataclass(frozen=True)
class Silent:
    word: str


@dataclass(frozen=True)
class Shapeless:
    """Whose words are anything."""

    word: str
    more: dict[str, int] | None = None


class Null(Good):
    def sql(self, rule, q):
        return f"(c.name = {q.arg(rule.word)})"


class Number(Good):
    def sql(self, rule, q):
        return f"length({q.arg(rule.word)})"


class NoSql(Good):
    def sql(self, rule, q):
        return f"c.nmae = {q.arg(rule.word)}"


class NamesC(Good):
    def rows(self, rule, q):
        return Rows("customer_tags t", "t.customer_id", [f"t.tag > c.name || {q.arg(rule.word)}"])


class ForgetsWhoHasNone(Good):
    def sql(self, rule, q):
        return q.between(self.rows(rule, q), "count(*)", None, q.arg(3), none=False)


class WritesValues(Good):
    def sql(self, rule, q):
        where = [f"t.tag LIKE '{rule.word}%'"]
        return q.has(Rows("customer_tags t", "t.customer_id", where))


class NoChinese(Good):
    def explain(self, rule, say):
        return f"has a tag with {rule.word}"


class NoTitle(Good):
    title = Text("Tag", "")


class Undescribed(Good):
    rule = Silent


class NoInput(Good):
    rule = Shapeless


class FindsNothing(Good):
    def found(self, rule, q):
        return "c.nmae"


@pytest.mark.parametrize(
    ("facet", "word"),
    [
        (Null, "never NULL"), (Number, "TRUE or FALSE"), (NoSql, "nmae"), (NamesC, "reference"),
        (ForgetsWhoHasNone, "another than before"), (WritesValues, "q.arg"), (NoChinese, "Chinese"),
        (NoTitle, "title"), (Undescribed, "docstring"), (NoInput, "GraphQL input"),
        (FindsNothing, "nmae"),
    ],
)  # fmt: skip
async def test_a_broken_facet_is_told_what_is_wrong(merchant, tagged, facet, word):
    with pytest.raises(FacetFault, match=word):
        await check_facet(merchant, facet(), {"word": "green"})


async def test_parameters_that_are_refused_are_named(merchant, tagged):
    with pytest.raises(FacetFault, match=r"input\.rule\.wordsTag\.word: is empty"):
        await check_facet(merchant, Good(), {"word": ""})
    with pytest.raises(FacetFault, match="wrod"):
        await check_facet(merchant, Good(), {"wrod": "green"})


async def test_without_customers_nothing_would_be_tried(merchant):
    with pytest.raises(FacetFault, match="no customers"):
        await check_facet(merchant, Good(), {"word": "green"})
