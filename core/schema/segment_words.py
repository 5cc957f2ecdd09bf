"""Rules of segments: read for a request, and put into words of either language."""

import json
from enum import Enum
from typing import Any

import strawberry

from core.domain.segments.rules import Rule, read_rule, stored_rule, usable_facets
from core.domain.segments.tree import ROOT, Path
from core.schema.context import Info, field
from core.schema.costs import costs
from core.schema.errors import UserError, user_errors
from core.schema.scalars import SegmentRule
from core.sdk.errors import Several
from core.storage.database import Session


@strawberry.enum(description="A language that rules are put into words in.")
class Language(Enum):
    EN = "en"
    ZH = "zh"


async def stored_form(info: Info, node: Any) -> dict[str, Any]:
    """The stored form of a rule that was given."""
    async with info.context.read() as session:
        return await stored_rule(session, info.context.installation.registry, node)


async def rule_of(info: Info, stored: Any) -> Rule:
    """A stored rule, checked; those of one level are read together. Raises Several."""
    registry = info.context.installation.registry

    async def read_all(session: Session, texts: list[str]) -> dict[str, Rule | Several]:
        facets = await usable_facets(session, registry)
        found: dict[str, Rule | Several] = {}
        for text in texts:
            try:
                found[text] = await read_rule(session, registry, json.loads(text), facets=facets)
            except Several as error:
                found[text] = error
        return found

    # the loader raises an error that it gets in place of a value
    rule = await info.context.load("segment.rules", json.dumps(stored), read_all)
    assert isinstance(rule, Rule)
    return rule


def path_in_rule(path: Path) -> list[str]:
    """The path to a node inside of `rule`, as GraphQL shows it."""
    return list(path[len(ROOT) :])


@strawberry.type
class SegmentWords:
    stored: strawberry.Private[Any]

    @field(
        "SEGMENTS_READ",
        description="The rule in words; null if it cannot be asked: `preview` says why.",
    )
    async def sentence(self, info: Info, language: Language = Language.EN) -> str | None:
        try:
            return (await rule_of(info, self.stored)).sentence(language.value)
        except Several:
            return None


@strawberry.type
class SegmentExplainResult:
    sentence: str | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SegmentWordsQueries:
    @costs(20)
    @field("SEGMENTS_READ", description="A rule in words, without asking it.")
    async def segment_explain(
        self, info: Info, rule: SegmentRule, language: Language = Language.EN
    ) -> SegmentExplainResult:
        try:
            read = await rule_of(info, await stored_form(info, rule))
        except Several as error:
            return SegmentExplainResult(errors=user_errors(error))
        return SegmentExplainResult(sentence=read.sentence(language.value))
