"""Checks that a plugin's facet keeps the rules by which segments ask facets."""

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import asyncpg

from core.domain.segments.rules import FORMS, Rule, read_rule
from core.domain.segments.tree import leaves
from core.registry import Owned, Registry
from core.schema.build import build_schema
from core.sdk.errors import Several
from core.sdk.facets import Facet, Say
from core.storage.database import Session
from core.testing.fixtures import TestMerchant


class FacetFault(AssertionError):
    """What a facet does that it must not; the message says what to change."""


async def check_facet(merchant: TestMerchant, facet: Facet, params: Mapping[str, Any]) -> set[int]:
    """Ask a facet about all customers of the merchant; returns the ids it matches, to compare.

    `params` are as a stored rule has them: {"word": "tea"}. Raises FacetFault when they are
    refused, or cannot become a GraphQL input; when the question, or what is found, is no sound
    SQL; when the answer for a customer is NULL, or hangs on the form in which it is asked or on
    who else is asked about; and when it is not said in English and in Chinese.
    """
    registry = merchant.installation.registry
    facets = {**registry.facets, facet.name: Owned("test", facet)}
    try:
        _check_description(facet)
        _check_input(facet, replace(registry, facets=facets))
        async with merchant.read() as session:
            stored = {"version": 1, "rule": {facet.name: params},
                      "facets": {facet.name: facet.version}}  # fmt: skip
            rule = await read_rule(session, registry, stored, facets=facets)
            (asked,) = [leaf.rule for leaf in leaves(rule.root)]
            _check_words(facet, asked, rule)
            matched = await _check_answers(session, facet, asked, rule)
            await _check_found(session, facet, asked, rule)
            return matched
    except Several as several:
        said = "; ".join(f"{'.'.join(one.path)}: {one.message}" for one in several.errors)
        raise FacetFault(f"{facet.name} refuses the parameters: {said}") from several
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise FacetFault(f"{facet.name}: PostgreSQL refuses its SQL: {error}") from error


def _check_description(facet: Facet) -> None:
    words = inspect.getdoc(facet.rule) or ""
    if not words or words.startswith(f"{facet.rule.__name__}("):
        raise FacetFault(f"{facet.rule.__name__} has no docstring; the API shows it to editors")
    _check_both(facet, "title", facet.title.en, facet.title.zh)


def _check_input(facet: Facet, registry: Registry) -> None:
    try:
        build_schema(registry)
    except TypeError as error:
        raise FacetFault(f"{facet.name} cannot become a GraphQL input: {error}") from error


def _check_words(facet: Facet, asked: Any, rule: Rule) -> None:
    _check_both(
        facet, "explain",
        facet.explain(asked, Say("en", rule.names)), facet.explain(asked, Say("zh", rule.names)),
    )  # fmt: skip


def _check_both(facet: Facet, what: str, en: str, zh: str) -> None:
    if not en.strip() or not re.search("[\u4e00-\u9fff]", zh):
        raise FacetFault(
            f"{facet.name}: {what} gives {en!r} in English and {zh!r} in Chinese; it needs both"
        )


async def _check_answers(session: Session, facet: Facet, asked: Any, rule: Rule) -> set[int]:
    ids = [
        row["id"] for row in await session.sql.fetch(
            "SELECT id FROM customers WHERE merchant_id = $1 ORDER BY id", session.merchant_id
        )
    ]  # fmt: skip
    if not ids:
        raise FacetFault("the merchant has no customers to ask about: make some first")
    first: dict[int, Any] = {}
    for form in FORMS:
        for within in (None, (ids[len(ids) // 2], ids[-1])):
            q = rule.query(form, within)
            condition = facet.sql(asked, q)
            _check_values(facet, asked, condition)
            rows = await session.sql.fetch(
                f"SELECT c.id, ({condition}) AS hit FROM {q.source} WHERE {q.base}", *q.args
            )
            answer = {row["id"]: row["hit"] for row in rows}
            first = first or answer
            for number, hit in answer.items():
                if not isinstance(hit, bool):
                    raise FacetFault(f"{facet.name}: the answer for customer {number} is {hit!r}; "
                                     "it must be TRUE or FALSE, never NULL")  # fmt: skip
                if hit != first[number]:
                    raise FacetFault(
                        f"{facet.name}: asked as {form!r} about {len(answer)} customers, the "
                        f"answer for {number} is another than before; Rows must name no c, and "
                        "give the same for one customer and for all"
                    )
    return {number for number, hit in first.items() if hit}


async def _check_found(session: Session, facet: Facet, asked: Any, rule: Rule) -> None:
    q = rule.query()
    found = facet.found(asked, q)
    if found is not None:
        await session.sql.fetch(f"SELECT {found} FROM {q.source} WHERE {q.base}", *q.args)


def _check_values(facet: Facet, asked: Any, sql: str) -> None:
    for text in _texts(vars(asked)):
        if f"'{text}" in sql or f"%{text}" in sql:
            raise FacetFault(f"{facet.name}: {text!r} is written into the SQL; give it to q.arg")


def _texts(value: Any) -> Iterator[str]:
    """The texts among parameters, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    elif hasattr(value, "__dataclass_fields__"):
        yield from _texts(vars(value))
