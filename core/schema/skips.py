"""Why customers are not written to, as counts."""

from collections.abc import Mapping

import strawberry

from core.domain.campaigns.policy.reasons import reason_in_words
from core.schema.segment_words import Language


@strawberry.type(description="Why so many were not written to.")
class Skipped:
    reason: str
    count: int

    @strawberry.field
    def sentence(self, language: Language = Language.EN) -> str:
        return reason_in_words(self.reason, language.value)


def skips(found: Mapping[str, int]) -> list[Skipped]:
    return [Skipped(reason=reason, count=count) for reason, count in sorted(found.items())]
