"""What a rule can decide about a parcel that it is for, and how that is said."""

from enum import IntEnum

from core.sdk import Say, Text


class Outcome(IntEnum):
    """The values are stored."""

    GIVEN = 1
    EXCLUDED = 2
    FULL = 3
    LIMIT = 4
    HOLDOUT = 5
    STOCK = 6
    BUDGET = 7
    RELEASED = 8
    REFUSED = 9


REASONS = {
    Outcome.EXCLUDED: Text(
        "another insert of the same group goes in",
        "同一互斥组已有其他赠品",
    ),
    Outcome.FULL: Text("the parcel has as many inserts as it may", "该包裹的赠品数已达上限"),
    Outcome.LIMIT: Text(
        "the customer has had as many in this period as the rule allows",
        "该客户在周期内已达领取上限",
    ),
    Outcome.HOLDOUT: Text(
        "the customer is of those who get none, to measure the effect",
        "该客户属于对照组，用于衡量效果",
    ),
    Outcome.STOCK: Text("the warehouse has none left", "仓库库存不足"),
    Outcome.BUDGET: Text("the rule's budget is used up", "规则预算已用完"),
    Outcome.REFUSED: Text("no code could be had for the customer", "该客户无法获得券码"),
    Outcome.RELEASED: Text("the order was closed before it was packed", "订单在打包前已关闭"),
}  # fmt: skip


def reason(
    outcome: Outcome | None, insert: str, condition: str, say: Say, refused: str | None = None
) -> str:
    """Why a parcel got an insert or not; `condition` is the rule in words, None did not match.

    `refused` is what the source of its codes said.
    """
    if outcome is None:
        return say(
            f"no {insert}: the rule is for {condition}", f"无{insert}：规则条件为{condition}"
        )
    if outcome is Outcome.GIVEN:
        return say(f"{insert}, because {condition}", f"{insert}：因为{condition}")
    why = REASONS[outcome]
    said = f" ({refused})" if refused else ""
    return say(f"no {insert}: {why.en}{said}", f"无{insert}：{why.zh}{said}")
