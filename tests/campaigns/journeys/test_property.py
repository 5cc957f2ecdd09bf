"""Random journeys and random events, against a simulation of one customer after the other."""

import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

import pytest

from core.domain.campaigns.chance import choice, salt
from core.domain.campaigns.flows import parse_flow
from core.sdk import CustomEvent
from core.sdk.flows import Condition, Split, Tag, Wait, WaitFor
from tests.journey_kit import emit, enrolments, go_on, start_journey, tags_of, tell_again
from tests.sending_kit import add_customers

CUSTOMERS, MOMENTS = 6, 40
ENTER = {"kind": "event", "type": "custom.enter"}


def rule(tag):
    return {"version": 1, "rule": {"tag": {"any_of": [tag]}}}


def random_steps(chance):
    """Steps that lead forward only; the line through all of them reaches each."""
    count = chance.randint(2, 8)
    steps = []
    for number in range(count):
        ahead = [f"s{n}" for n in range(number + 1, count)] + ["end"]
        step = {"key": f"s{number}", "kind": chance.choice(
            ["wait", "wait", "wait_for", "wait_for", "condition", "split", "tag", "tag"]
        )}  # fmt: skip
        match step["kind"]:
            case "wait":
                step["span"] = {"hours": chance.randint(0, 5)}
            case "wait_for":
                step |= {"type": f"custom.{chance.choice('ab')}", "otherwise": chance.choice(ahead),
                         "timeout": {"hours": chance.randint(1, 6)}}  # fmt: skip
            case "condition":
                step |= {"rule": rule(f"t{chance.randint(0, 3)}"),
                         "otherwise": chance.choice(ahead)}  # fmt: skip
            case "split":
                step["branches"] = [{"share": chance.randint(1, 3)}, {"next": chance.choice(ahead)}]
            case "tag":
                step["add"] = [f"t{chance.randint(0, 3)}"]
        steps.append(step)
    return steps


@dataclass
class Way:
    """One customer on the way, as a plain program would keep it."""

    customer: int
    moment: datetime
    step: int | None = 0
    until: datetime | None = None
    heard: bool = False
    left: bool = False

    @property
    def inside(self):
        return self.step is not None and not self.left


class Simulation:
    def __init__(self, flow, campaign_id):
        self.flow, self.campaign_id = flow, campaign_id
        self.ways, self.tags = [], defaultdict(set)

    def out(self, customer):
        return self.flow.exit.rule is not None and "t3" in self.tags[customer]

    def event(self, now, kind, customer):
        for way in self.ways:
            if way.customer == customer and way.inside:
                step = self.flow.steps[way.step]
                way.heard = (
                    isinstance(step, WaitFor) and step.type == kind and way.until > now
                ) or way.heard
        if kind == "custom.enter":
            self.ways.append(Way(customer, now))
        self.move(now, customer)

    def move(self, now, only=None):
        moved = [way for way in self.ways if way.inside and only in (None, way.customer)]
        # as the engine does it: a step with all who stand there, then the next step
        for number in range(len(self.flow.steps)):
            for way in [way for way in moved if way.inside and way.step == number]:
                asked = only is not None or way.until is None or way.until <= now
                if asked and self.out(way.customer):
                    way.left = True
            for way in [way for way in moved if way.inside and way.step == number]:
                self.take(way, number, now)

    def take(self, way, number, now):
        step, flow = self.flow.steps[number], self.flow
        after = flow.place(step.next, number)
        match step:
            case Wait():
                way.until = way.until or way.moment + step.span.span
                if way.until <= now:
                    self.go(way, after, way.until)
            case WaitFor():
                way.until = way.until or way.moment + step.timeout.span
                if way.heard:
                    self.go(way, after, now)
                elif way.until <= now:
                    self.go(way, flow.place(step.otherwise, number), way.until)
            case Condition():
                wanted = step.rule["rule"]["tag"]["any_of"][0] in self.tags[way.customer]
                self.go(way, after if wanted else flow.place(step.otherwise, number))
            case Split():
                shares = [branch.share for branch in step.branches]
                branch = choice(way.customer, salt(self.campaign_id, step.key), shares)
                self.go(way, flow.place(step.branches[branch].next, number))
            case Tag():
                self.tags[way.customer] |= set(step.add)
                self.go(way, after)

    def go(self, way, step, moment=None):
        way.step, way.moment = step, moment or way.moment
        way.until, way.heard = None, False


@pytest.mark.parametrize("seed", range(25))
async def test_everybody_stands_where_the_simulation_says(merchant, seed):
    chance = random.Random(seed)
    steps = random_steps(chance)
    more = {"entry": {"again": "always"}}
    if chance.random() < 0.5:
        more["exit"] = {"rule": rule("t3")}
    ids = await add_customers(merchant, [None] * CUSTOMERS)
    try:
        flow = parse_flow({"trigger": ENTER, "steps": steps, **more})
    except Exception:
        pytest.skip("a step that nothing leads to")
    campaign_id, _ = await start_journey(merchant, ENTER, steps, **more)
    simulation = Simulation(flow, campaign_id)
    for _ in range(MOMENTS):
        minutes = chance.choice([0, 7, 60, 60, 150])
        await go_on(merchant, minutes=minutes)
        simulation.move(merchant.clock())
        kind, customer = chance.choice(["enter", "a", "b"]), chance.choice(ids)
        await emit(merchant, CustomEvent(f"custom.{kind}", customer, None, {}))
        simulation.event(merchant.clock(), f"custom.{kind}", customer)
        if chance.random() < 0.1:
            # only the last one can come again: events are handled in order
            await tell_last_again(merchant)
    rows = await enrolments(merchant)
    assert [(row["customer_id"], state_of(row)) for row in rows] == [
        (way.customer, expected(way)) for way in simulation.ways
    ]
    for customer in ids:
        assert await tags_of(merchant, customer) == sorted(simulation.tags[customer])


async def tell_last_again(merchant):
    async with merchant.work() as w:
        await w.sql.execute(
            """DELETE FROM outbox_events WHERE merchant_id = $1 AND id < (
                   SELECT max(id) FROM outbox_events WHERE merchant_id = $1)""",
            merchant.id,
        )
    await tell_again(merchant)


def state_of(row):
    if row["state"] == "waiting":
        return ("waiting", row["step"], row["until"])
    return (row["state"], None, None)


def expected(way):
    if way.left:
        return ("left", None, None)
    if way.step is None:
        return ("done", None, None)
    return ("waiting", way.step, way.until)
