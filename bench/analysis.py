"""Milliseconds to find out what a document comes to, before it is validated.

The worst that may come: fragments that each spread the next one twice, so that 200 of them come to
2^200 fields. What has more than 100 fragments is refused; the analysis itself is measured with 200.
"""

import json
import statistics
import time
from collections.abc import Callable

from graphql import DocumentNode, parse

from core.installation import load_registry
from core.schema import limits
from core.schema.build import build_schema
from core.schema.costs import Prices
from core.schema.known import PARSING, Known
from core.settings import from_environment

ROUNDS = 200
FRAGMENTS = 200


def main() -> None:
    prices = build_schema(load_registry(from_environment())).prices
    text = bomb(FRAGMENTS)
    document = parse(text, **PARSING)
    _measure("analysis_parse", lambda: parse(text, **PARSING))
    _measure("analysis_refusal", lambda: limits.check_size(document))
    limits.MAX_FRAGMENTS = FRAGMENTS
    _measure("analysis_size_and_cost", lambda: _analyse(prices, document))


def bomb(fragments: int) -> str:
    """A query of so many fragments, each of which spreads the next one twice."""
    spreads = "".join(
        f"fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }} " for n in range(fragments - 1)
    )
    last = f"fragment f{fragments - 1} on Query {{ customers {{ nodes {{ id name }} }} }}"
    return f"{{ ...f0 }} {spreads} {last}"


def _analyse(prices: Prices, document: DocumentNode) -> None:
    assert limits.check_size(document) is not None  # there are too many fields in it
    known = Known(document, [document.definitions[0]], introspects=False)  # type: ignore[list-item]
    assert prices.cost(known, None, {}) > 2 ** (FRAGMENTS - 1)


def _measure(figure: str, function: Callable[[], object]) -> None:
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        function()
        taken.append((time.perf_counter() - began) * 1000)
    line = {
        "figure": figure, "value": round(statistics.median(taken), 3), "unit": "ms",
        "min": round(min(taken), 3), "max": round(max(taken), 3), "rounds": ROUNDS,
        "fragments": FRAGMENTS,
    }  # fmt: skip
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
