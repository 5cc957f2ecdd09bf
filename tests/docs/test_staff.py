"""The table of the staff guide is what the roles really have."""

import re
from pathlib import Path

from core.domain.shops.permissions import CORE_PERMISSIONS
from core.domain.shops.roles import GRANTED, OWNER

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "staff.md"


def table():
    roles = [OWNER, *GRANTED]
    rows = [
        f"| permission | {' | '.join(roles)} |",
        f"|---|{'---|' * len(roles)}",
        *(
            f"| `{one.name}` | "
            + " | ".join("✓" if r == OWNER or one.name in GRANTED[r] else "" for r in roles)
            + " |"
            for one in CORE_PERMISSIONS
        ),
    ]
    return "\n".join(rows)


def test_the_guide_shows_what_each_role_may():
    shown = re.search(r"^\| permission \|.*?(?=\n\n)", GUIDE.read_text("utf-8"), re.M | re.S)
    assert shown is not None
    assert shown[0] == table(), f"put this into {GUIDE.name}:\n{table()}"
