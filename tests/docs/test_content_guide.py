"""The guide on content and the code name the same variables and filters."""

import re
from pathlib import Path

from core.domain.campaigns.content.filters import _DIRECTIVES, FILTERS
from core.domain.campaigns.content.variables import VARIABLES, flow_about, known_variables
from core.domain.campaigns.flows import parse_flow

GUIDE = (Path(__file__).parents[2] / "docs/guides/content.md").read_text(encoding="utf-8")


def rows(heading, until="\n\n"):
    """The first two cells of each row of the table after a heading."""
    table = GUIDE.split(heading, 1)[1].split("|---|---|\n", 1)[1].split(until, 1)[0]
    return dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", table, re.M))


def test_every_variable_is_told_under_what_it_is_about():
    headings = {
        "any": "\nAlways:", "order": "\nIn flows that start with an event of an order",
        "parcel": "\nIn flows that start with an event of a parcel",
    }  # fmt: skip
    for about, heading in headings.items():
        told = {name: text.partition(" Each has")[0] for name, text in rows(heading).items()}
        assert told == {one.name: one.meaning for one in VARIABLES if one.about == about}
    for one in VARIABLES:
        for part in one.parts:
            assert f"`{part}`" in rows(headings["order"])[one.name]


def test_every_filter_is_told():
    told = {name: text.replace("\\|", "|") for name, text in rows("## Filters").items()}
    assert told == {name: one.__doc__ for name, one in FILTERS.items()}
    line = re.search(r"`date` knows `([^`]+)`", GUIDE).group(1)
    assert set(line.replace("%", "").split()) == set(_DIRECTIVES) - {"%"}


def test_what_a_flow_is_about():
    def about(trigger):
        send = {"kind": "send", "key": "a", "channel": "email", "variants": [{"content": {}}]}
        return flow_about(parse_flow({"trigger": trigger, "steps": [send]}))

    event = {"kind": "event", "type": ""}
    assert about({"kind": "audience", "segment_id": 1}) == {"any"}
    assert about(event | {"type": "customer.unsubscribed"}) == {"any"}
    assert about(event | {"type": "orders.imported"}) == {"any"}
    for kind in ("order.created", "refund.state_changed", "custom.abandoned"):
        assert about(event | {"type": kind}) == {"any", "order"}
    assert "parcel.count" in known_variables((), about(event | {"type": "parcel.state_changed"}))
    assert "parcel.count" not in known_variables((), about(event | {"type": "order.created"}))
