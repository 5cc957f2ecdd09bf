"""What platforms tell of people: their reviews, and what they are as members of shops there."""

import random

from hypothesis import strategies as st

from core.domain.segments.facets.reviews import SIGNS
from tests.segments.oracle.kit import bounded, with_some, within
from tests.segments.oracle.orders import (
    PLAIN_WINDOWS,
    PLATFORMS,
    SHOP_FILTER,
    SHOPS,
    in_window,
    moment,
    pair,
    some,
)

NUMBERS = {sign.value: number for sign, number in SIGNS.items()}
TEXTS = ["Too small", "掉色 100%", "fine"]


def fill(r: random.Random, person: dict) -> None:
    person["reviews"] = [
        {
            "sign": r.choice([*NUMBERS, None]), "stars": r.choice([1, 2, 3, 5, None]),
            "text": r.choice([*TEXTS, None]), "later_text": r.choice([*TEXTS, None, None]),
            "negative": r.choice(["bad", "keyword", None]),
            "shop": (shop := r.choice([0, 1])), "at": moment(r, shop),
        }
        for _ in range(r.choice([0, 0, 1, 1, 2, 3]))
    ]  # fmt: skip
    person["platforms"] = [
        {
            "shop": shop, "member": (now := r.choice([True, True, False, None])),
            "grade": r.choice([None, 0, 1, 2, 3]), "trades": r.choice([None, 0, 1, 2, 5]),
            "joined_at": r.choice([None, moment(r, shop)]),
            "left_at": moment(r, shop) if now is False else None,
        }
        for shop in r.choice([[], [0], [0], [1], [0, 1]])
    ]  # fmt: skip


async def store(w, person: dict) -> None:
    for one in person["platforms"]:
        await w.sql.execute(
            """INSERT INTO platform_members (merchant_id, shop_id, buyer_index, customer_id, member,
                   grade, trade_count, joined_at, left_at, content_hash, taken_at)
               VALUES ($1, $2, int8send($3), $3, $4, $5, $6, $7, $8, '', $9)""",
            w.merchant_id, SHOPS[one["shop"]], person["id"], one["member"], one["grade"],
            one["trades"], one["joined_at"], one["left_at"], w.now,
        )  # fmt: skip
    for n, one in enumerate(person["reviews"]):
        await w.sql.execute(
            """INSERT INTO reviews (merchant_id, shop_id, external_id, order_external_id,
                   customer_id, at, sign, stars, text, later_text, negative, content_hash, taken_at)
               VALUES ($1, $2, $3, '', $4, $5, $6, $7, $8, $9, $10, '', $5)""",
            w.merchant_id, SHOPS[one["shop"]], f"{person['id']}-{n}", person["id"], one["at"],
            NUMBERS.get(one["sign"]), one["stars"], one["text"], one["later_text"],
            one["negative"],
        )  # fmt: skip


def reviewed(params: dict, one: dict) -> bool:
    stars = {name[6:]: params[name] for name in ("stars_at_least", "stars_at_most")
             if name in params}  # fmt: skip

    def fits(given: dict) -> bool:
        said = f"{given['text'] or ''}\n{given['later_text'] or ''}".lower()
        return (
            ("signs" not in params or given["sign"] in params["signs"])
            and (not stars or (given["stars"] is not None and within(stars, given["stars"])))
            and ("keywords" not in params or any(k.lower() in said for k in params["keywords"]))
            and params.get("negative", given["negative"] is not None) == bool(given["negative"])
            and in_window(params.get("within"), given["at"], given["shop"], one)
            and SHOPS[given["shop"]] in params.get("shop_ids", SHOPS)
        )

    return some(params, sum(map(fits, one["reviews"])))


def there(params: dict, one: dict) -> list[dict]:
    """What the platforms of the asked shops tell."""
    return [
        told for told in one["platforms"]
        if SHOPS[told["shop"]] in params.get("shop_ids", SHOPS)
        and PLATFORMS[told["shop"]] in map(str.lower, params.get("platforms", PLATFORMS))
    ]  # fmt: skip


def platform_member(params: dict, one: dict) -> bool:
    grades = {name[6:]: params[name] for name in ("grade_at_least", "grade_at_most")
              if name in params}  # fmt: skip
    return any(
        told["member"] is ("left" not in params)
        and (not grades or (told["grade"] is not None and within(grades, told["grade"])))
        and in_window(params.get("joined"), told["joined_at"], told["shop"], one)
        and in_window(params.get("left"), told["left_at"], told["shop"], one)
        for told in there(params, one)
    )


def platform_trades(params: dict, one: dict) -> bool:
    return within(params, sum(told["trades"] or 0 for told in there(params, one)))


SHOP_LISTS = st.lists(st.integers(0, 1).map(lambda n: SHOPS[n]), max_size=2)
LEAVES = st.one_of(
    with_some(
        st.one_of(st.just({}), bounded(0, 3)),
        signs=st.lists(st.sampled_from(list(NUMBERS)), max_size=3, unique=True),
        keywords=st.lists(st.sampled_from(["small", "掉色", "%", "E"]), max_size=2),
        negative=st.booleans(), within=PLAIN_WINDOWS, shop_ids=SHOP_LISTS,
    ).map(lambda params: {"reviewed": params}),
    pair("stars_at_least", "stars_at_most", st.integers(1, 5)).map(
        lambda params: {"reviewed": params}
    ),
    with_some(
        st.one_of(
            st.just({}), PLAIN_WINDOWS.map(lambda window: {"joined": window}),
            PLAIN_WINDOWS.map(lambda window: {"left": window}),
            pair("grade_at_least", "grade_at_most", st.integers(0, 4)),
        ),
        **SHOP_FILTER,
    ).map(lambda params: {"platform_member": params}),
    with_some(bounded(0, 8), **SHOP_FILTER).map(lambda params: {"platform_trades": params}),
)  # fmt: skip
EVALUATE = {
    "reviewed": reviewed,
    "platform_member": platform_member,
    "platform_trades": platform_trades,
}
