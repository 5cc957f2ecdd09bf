"""The statement that asks about changed customers is kept while a new one would be the same."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.domain.segments import asking
from core.domain.segments.asking import asked_about
from core.domain.segments.rules import read_rule
from tests.segments.members_kit import stored

# instants of the clock, days of the shop's zone, hours, amounts
RULES = [
    {"order_count": {"at_least": 1, "orders": {"within": {"last_hours": 30}}}},
    {"order_count": {"at_least": 1, "orders": {"within": {"last_days": 7}}}},
    {"birthday": {"next_days": 3}},
    {"points_balance": {"at_least": 100}},
    {"all": [{"has_phone": {}}, {"not": {"tag": {"any_of": ["vip"]}}}]},
]


@pytest.fixture
async def rules(merchant):
    registry = merchant.installation.registry
    async with merchant.read() as session:
        return {
            number: await read_rule(session, registry, stored(merchant.installation, rule))
            for number, rule in enumerate(RULES)
        }


def at(rules, now):
    return {number: replace(rule, now=now) for number, rule in rules.items()}


def built(rules, customers, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(asking, "_kept", type(asking._kept)())
        return asked_about(rules, customers)


@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 6, 15, 4, 0, 0, 0, UTC),
        datetime(2026, 6, 15, 15, 59, 59, 999_999, UTC),  # a tick before midnight in Shanghai
        datetime(2026, 12, 31, 15, 59, 20, 5, UTC),
    ],
)
def test_a_kept_statement_is_what_a_new_one_would_be(rules, now, monkeypatch):
    for seconds in (0, 0.4, 17, 39.99, 41, 61, 3_600, 86_400, -90_000):
        moved = at(rules, now + timedelta(seconds=seconds))
        for customers in ([7], [0, 1, 2, 3, 4], []):
            assert asked_about(moved, customers) == built(moved, customers, monkeypatch)


def test_it_is_built_once_a_minute_and_for_other_rules_anew(rules, monkeypatch):
    builds = []
    build = asking._build
    monkeypatch.setattr(asking, "_build", lambda made: builds.append(1) or build(made))
    now = datetime(2026, 6, 15, 4, 0, 1, tzinfo=UTC)
    for second in range(50):
        asked_about(at(rules, now + timedelta(seconds=second)), [1])
    assert len(builds) == 2  # and once a tick later, to see what moves
    asked_about(at(rules, now + timedelta(seconds=60)), [1])
    assert len(builds) == 4
    fewer = {number: rule for number, rule in rules.items() if number}
    asked_about(at(fewer, now + timedelta(seconds=60)), [1])
    assert len(builds) == 6
    elsewhere = {n: replace(rule, time_zone="Asia/Tokyo") for n, rule in fewer.items()}
    asked_about(at(elsewhere, now + timedelta(seconds=60)), [1])
    assert len(builds) == 8
