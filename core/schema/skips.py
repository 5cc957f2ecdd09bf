"""Why customers are not written to, as counts."""

from collections.abc import Mapping

import strawberry


@strawberry.type(description="Why so many were not written to.")
class Skipped:
    reason: str
    count: int


def skips(found: Mapping[str, int]) -> list[Skipped]:
    return [Skipped(reason=reason, count=count) for reason, count in sorted(found.items())]
