"""Claiming messages under the whole policy: the hours, the caps and the rate, as they are now."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from core.domain.campaigns import ledger
from core.domain.campaigns.journeys.exits import Leaving
from core.domain.campaigns.policy.caps import hold_caps
from core.domain.campaigns.policy.gate import Gate, read_gate
from core.domain.campaigns.policy.rates import room_in_rate, spend
from core.domain.campaigns.policy.windows import Opening
from core.sdk.channels import Channel
from core.sdk.flows import Send
from core.storage.database import Work

RATE = "rate"


@dataclass(frozen=True)
class Step:
    """A run's step whose messages are claimed.

    `leaving` is the exit rule of a journey. With `local` its messages keep to the clocks where
    each customer lives.
    """

    run_id: int
    number: int
    send: Send
    channel: Channel
    shop_id: int | None
    priority: int
    leaving: Leaving | None = None
    local: bool = False


@dataclass(frozen=True)
class Claim:
    """The rows that were taken, or until when there is nothing to take and by which rule."""

    rows: list[Mapping[str, Any]] = field(default_factory=list)
    closed: Opening | None = None


async def claim(w: Work, step: Step, owner: str, lease: timedelta, limit: int) -> Claim:
    """Take up to `limit` due rows of a step, as far as the policy lets them go out now.

    With a limit of 0 only the hours are asked.
    """
    send, channel = step.send, step.channel
    gate = await read_gate(w, channel, send, step.shop_id, step.priority, step.local)
    opening = gate.opening
    if opening.rule is not None and not step.local:
        await ledger.skip_late(w, step.run_id, step.number, opening.at, opening.rule)
        return Claim(closed=opening)
    if not limit:
        return Claim()
    # in this order everywhere: the caps, the rate, the rows
    if gate.caps:
        await hold_caps(w)
    if not gate.rated:
        return Claim(await _mark(w, step, owner, lease, limit, gate))
    room = await room_in_rate(w, channel.name, limit)
    if not room.messages:
        return Claim(closed=Opening(room.at, RATE))
    rows = await _mark(w, step, owner, lease, room.messages, gate)
    await spend(w, channel.name, room, sum(row["reason"] is None for row in rows))
    return Claim(rows)


async def _mark(
    w: Work, step: Step, owner: str, lease: timedelta, limit: int, gate: Gate
) -> list[Mapping[str, Any]]:
    return await ledger.mark_sending(
        w, step.run_id, step.number, step.channel,
        step.send.message_class, step.shop_id, owner, lease, limit, gate, step.leaving,
    )  # fmt: skip
