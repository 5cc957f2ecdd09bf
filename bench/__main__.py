"""`python -m bench [NAME ...]` runs the benchmarks, all of them if none is named."""

import importlib
import importlib.util
import sys

NAMES = (
    "import_orders",
    "export",
    "start",
    "memory",
    "analysis",
    "large",
    "segments",
    "send",
    "email",
    "ledger",
    "content",
    "sms",
    "journeys",
    "campaign_results",
    "members",
    "connectors",
    "coupons",
)


def main(names: list[str]) -> int:
    """Run the named benchmarks; the exit code is 0 when each of them ran."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
        return 2
    for name in names or NAMES:
        if importlib.util.find_spec(f"bench.{name}") is None:
            print(f"bench.{name} is not part of this checkout: skipped", file=sys.stderr)
            continue
        print(f"== {name}", file=sys.stderr, flush=True)
        importlib.import_module(f"bench.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
