"""Places, contacts, birthdays, accounts, tags, consent, custom fields and random shares."""

import random
from calendar import isleap
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from core.domain.customers.field_values import FieldChange, set_fields
from core.domain.segments.facets.custom_fields import FIELD_OPERATORS
from core.domain.segments.facets.random_share import part_sql
from core.testing.fixtures import START
from tests.segments.oracle.kit import DAYS, ZONE, bounded, days_ago, with_some, within
from tests.segments.oracle.orders import bought

PROVINCES = ["广东", "浙江", "北京", None]
TAGS = ["vip", "新客", "老客"]
SOURCES = ["staff", "import"]
STRICTNESS = ["granted", "unproven", "denied"]
SHOPS: list[int] = []
"""The ids of the merchant's two shops, once people are stored."""
SEEDS = [0, 7, -3]
TODAY = START.astimezone(ZoneInfo(ZONE)).date()
BIRTHDAYS = [
    date(1990, 6, 15), date(1990, 6, 14), date(2008, 6, 16), date(2008, 6, 15), date(2000, 6, 22),
    date(1996, 2, 29), date(1996, 2, 28), date(1970, 12, 31), date(1971, 1, 1), None,
]  # fmt: skip


def moment(r: random.Random) -> datetime:
    """A time of the last 500 days, often on the edge of a day."""
    at = START - timedelta(days=r.choice([0, 1, 2, 29, 30, 31, 90, r.randrange(500)]))
    at = at.astimezone(ZoneInfo(ZONE)).replace(hour=0, minute=0)
    return at + r.choice([timedelta(0), timedelta(seconds=-1), timedelta(hours=r.randrange(12))])


def fill(r: random.Random, person: dict) -> None:
    person |= {
        "country": r.choice(["CN", "US", None]),
        "province": r.choice(PROVINCES),
        "city": r.choice(["杭州市", "杭州", "深圳市", None]),
        "name": r.choice(["Li Lei", None]),
        "created_at": moment(r),
        "birthday": r.choice(BIRTHDAYS),
        "accounts": [n for n in (0, 1) if r.random() < 0.4],
        "phone": b"p" if r.random() < 0.5 else None,
        "email": b"e" if r.random() < 0.7 else None,
        "tags": [
            {"tag": tag, "source": r.choice(SOURCES), "at": moment(r)}
            for tag in TAGS
            if r.random() < 0.4
        ],
        "size": r.choice(["S", "M", None]),
        "score": r.choice([Decimal("-1.5"), Decimal(0), Decimal("9.90"), Decimal(100), None]),
        "member": r.choice([True, False, None]),
        "day": r.choice(
            [
                date(2026, 1, 1),
                date(2026, 6, 14),
                date(2026, 6, 15),
                date(2024, 2, 29),
                date(2020, 6, 17),
                date(2026, 6, 17),
                date(2028, 6, 17),
                None,
            ]
        ),
        # the last second of a day in Shanghai, and the first of the next
        "called": r.choice(
            [
                datetime(2026, 6, 13, 15, 59, 59, tzinfo=UTC),
                datetime(2026, 6, 13, 16, tzinfo=UTC),
                None,
            ]
        ),
        # of all shops (None) and of each of the two, some said at the same instant
        "consents": [
            {
                "shop": shop,
                "status": r.choice(STRICTNESS),
                "at": START - timedelta(days=r.choice([1, 2, 3])),
            }
            for shop in (None, 0, 1)
            if r.random() < 0.6
        ],
        "refusals": [
            {
                "shop": r.choice([None, 0, 1]),
                "at": moment(r),
                "channel": r.choice(["email", "sms"]),
                "status": r.choice(["denied", "denied", "granted"]),
                "purpose": r.choice(["marketing", "marketing", "service"]),
            }
            for _ in range(r.choice([0, 0, 1, 2]))
        ],
    }


async def store(w, person: dict) -> None:
    customer_id = person["id"]
    SHOPS[:] = [
        row["id"] for row in await w.sql.fetch(
            "SELECT id FROM shops WHERE merchant_id = $1 ORDER BY id", w.merchant_id
        )
    ]  # fmt: skip
    contacts = [f"{kind}{customer_id}".encode() if person[kind] else None
                for kind in ("phone", "email")]  # fmt: skip
    await w.sql.execute(
        """UPDATE customers SET province = $3, phone_index = $4, email_index = $5, country = $6,
               city = $7, name = $8, created_at = $9, birthday = $10
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, customer_id, person["province"], *contacts, person["country"],
        person["city"], person["name"], person["created_at"], person["birthday"],
    )  # fmt: skip
    values = {key: person[key] for key in FIELDS if person[key] is not None}
    if values:
        given = [
            FieldChange(f"custom.{key}", value if isinstance(value, bool) else
                        value.isoformat() if isinstance(value, date) else str(value))
            for key, value in values.items()
        ]  # fmt: skip
        await set_fields(w, customer_id, given, "custom")
    await w.sql.executemany(
        "INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)"
        " VALUES ($1, $2, $3, $4, $5)",
        [(w.merchant_id, customer_id, one["tag"], one["source"], one["at"])
         for one in person["tags"]],
    )  # fmt: skip
    # an id of an app that happens to have a shop's number is no account in the shop
    await w.sql.executemany(
        """INSERT INTO customer_identities
               (merchant_id, customer_id, scope, scope_id, kind, value, source, created_at)
           VALUES ($1, $2, $3, $4, 'nick', $5, 'orders', $6)""",
        [(w.merchant_id, customer_id, scope, SHOPS[n], str(customer_id), w.now)
         for scope, shops in (("shop", person["accounts"]), ("app", [0])) for n in shops],
    )  # fmt: skip
    await w.sql.executemany(
        """INSERT INTO consents (merchant_id, customer_id, shop_id, channel, purpose, status, at)
           VALUES ($1, $2, $3, 'email', 'marketing', $4, $5)""",
        [(w.merchant_id, customer_id, number(one["shop"]), one["status"], one["at"])
         for one in person["consents"]],
    )  # fmt: skip
    await w.sql.executemany(
        """INSERT INTO consent_events (merchant_id, customer_id, shop_id, channel, purpose, status,
               source, at) VALUES ($1, $2, $3, $4, $5, $6, 'test', $7)""",
        [(w.merchant_id, customer_id, number(one["shop"]), one["channel"], one["purpose"],
          one["status"], one["at"]) for one in person["refusals"]],
    )  # fmt: skip
    # the hash is PostgreSQL's own: what is done with it is checked, and its values are pinned in
    # test_customer_facets.py
    person["parts"] = {
        seed: await w.sql.fetchval(
            f"SELECT {part_sql('$1::bigint', '$2::bigint')}", customer_id, seed
        )
        for seed in SEEDS
    }


def number(shop: int | None) -> int:
    """The id of the first or second shop, 0 for all of them."""
    return 0 if shop is None else SHOPS[shop]


def in_window(window: dict | None, at: datetime) -> bool:
    if window is None:
        return True
    local = at.astimezone(ZoneInfo(ZONE)).date()
    oldest = window.get("last_days", window.get("days_ago_at_most", 10**6))
    return (
        window.get("days_ago_at_least", -(10**6)) <= days_ago(at) <= oldest
        and date.fromisoformat(window.get("from_day", "0002-01-01")) <= local
        and local <= date.fromisoformat(window.get("to_day", "9997-01-01"))
    )


def returns(day: date, next_days: int, today: date = TODAY) -> bool:
    """Whether a yearly day comes round, tried day by day."""
    for ahead in range(next_days + 1):
        then = today + timedelta(days=ahead)
        if (then.month, then.day) == (day.month, day.day):
            return True
        stands_in = (then.month, then.day) == (2, 28) and not isleap(then.year)
        if stands_in and (day.month, day.day) == (2, 29):
            return True
    return False


def age_on(today: date, born: date) -> int:
    """Birthdays that were had, counted one by one."""
    had = -1
    for year in range(born.year, today.year + 1):
        try:
            day = born.replace(year=year)
        except ValueError:
            day = date(year, 2, 28)
        had += day <= today
    return had


def tagged(params: dict, one: dict) -> bool:
    counting = {
        tag["tag"] for tag in one["tags"]
        if in_window(params.get("within"), tag["at"])
        and tag["source"] in params.get("sources", [tag["source"]])
    }  # fmt: skip
    if not {"any_of", "all_of", "none_of"} & set(params):
        return bool(counting)
    return (
        ("any_of" not in params or bool(counting & set(params["any_of"])))
        and counting >= set(params.get("all_of", []))
        and not counting & set(params.get("none_of", []))
    )


def consent(one: dict, channel: str, shop_id: int | None) -> str | None:
    """The word that counts: the latest, of two at once the stricter."""
    said = [
        word for word in one["consents"]
        if channel == "email" and number(word["shop"]) in (0, shop_id)
    ]  # fmt: skip
    said.sort(key=lambda word: (word["at"], STRICTNESS.index(word["status"])))
    return said[-1]["status"] if said else None


def says(status: str):
    return lambda params, one: consent(one, params["channel"], params.get("shop_id")) == status


def unsubscribed(params: dict, one: dict) -> bool:
    return any(
        word["status"] == "denied" and word["purpose"] == "marketing"
        and in_window(params.get("within"), word["at"])
        and word["channel"] in params.get("channels", [word["channel"]])
        and number(word["shop"]) in params.get("shop_ids", [number(word["shop"])])
        for word in one["refusals"]
    )  # fmt: skip


def known_in(params: dict, one: dict) -> bool:
    platforms = ["taobao", "aliexpress"]
    return any(
        SHOPS[n] in params.get("shop_ids", SHOPS)
        and platforms[n] in params.get("platforms", platforms)
        for n in one["accounts"]
    )


def first_anniversary(params: dict, one: dict) -> bool:
    if not bought(one):
        return False
    first = min(o["paid_at"] for o in bought(one)).astimezone(ZoneInfo(ZONE)).date()
    return first < TODAY and returns(first, params["next_days"])


def has_field(rule: dict, one: dict) -> bool:
    key = rule["field"].removeprefix("custom.")
    value = one.get(key)
    if "is_set" in rule:
        return (value is not None) == rule["is_set"]
    if value is None:
        return False
    kind = FIELDS[key]
    if "any_of" in rule or "starts_with" in rule:
        return (
            kind in ("text", "choice")
            and value in rule.get("any_of", [value])
            and value.startswith(rule.get("starts_with", ""))
        )
    if "is_true" in rule:
        return kind == "bool" and value == rule["is_true"]
    if "at_least" in rule or "at_most" in rule:
        return kind == "decimal" and within(rule, value)
    if "next_days" in rule:
        last = TODAY + timedelta(days=rule["next_days"])
        return kind == "date" and value <= last and returns(value, rule["next_days"])
    if kind == "datetime":
        value = value.astimezone(ZoneInfo(ZONE)).date()
    return (
        kind in ("date", "datetime")
        and date.fromisoformat(rule.get("from_day", "0002-01-01")) <= value
        and value <= date.fromisoformat(rule.get("to_day", "9998-01-01"))
    )


FIELDS = {"size": "choice", "score": "decimal", "member": "bool", "day": "date",
          "called": "datetime"}  # fmt: skip
AHEAD = st.sampled_from([0, 1, 2, 6, 7, 200, 258, 259, 364])
DAY = st.sampled_from(["2026-01-01", "2026-06-13", "2026-06-14", "2026-06-15"])
ASKED = st.one_of(
    st.fixed_dictionaries({"any_of": st.lists(st.sampled_from(["S", "M", "L"]), max_size=2)},
                          optional={"starts_with": st.sampled_from(["S", "x"])}),
    st.fixed_dictionaries({"is_true": st.booleans()}),
    st.fixed_dictionaries({"is_set": st.booleans()}),
    st.fixed_dictionaries({"at_least": st.sampled_from(["-2", "0", "9.9"])},
                          optional={"at_most": st.sampled_from(["9.90", "100"])}),
    st.fixed_dictionaries({"from_day": st.just("2026-01-01")}, optional={"to_day": DAY}),
    st.fixed_dictionaries({"to_day": DAY}),
    st.fixed_dictionaries({"next_days": AHEAD}),
)  # fmt: skip
FIELD_RULES = st.builds(
    lambda key, asked: {"custom_field": {"field": f"custom.{key}", **asked}},
    st.sampled_from([*FIELDS]), ASKED,
).filter(lambda rule: _fits(rule["custom_field"]))  # fmt: skip


def _fits(rule: dict) -> bool:
    """Whether the operators are those of the field's type; a rule is refused otherwise."""
    kind = FIELDS[rule["field"].removeprefix("custom.")]
    return set(rule) - {"field"} <= FIELD_OPERATORS[kind] | {"is_set"}


WINDOWS = st.one_of(
    DAYS.map(lambda days: {"last_days": days}),
    st.tuples(DAYS, DAYS).map(
        lambda pair: {"days_ago_at_least": min(pair), "days_ago_at_most": max(pair)}
    ),
    DAYS.map(lambda days: {"days_ago_at_least": days}),
    DAYS.map(lambda days: {"to_day": str(TODAY - timedelta(days=days))}),
    DAYS.map(lambda days: {"from_day": str(TODAY - timedelta(days=days)),
                           "to_day": str(TODAY - timedelta(days=1))})
    .filter(lambda window: window["from_day"] <= window["to_day"]),
)  # fmt: skip
SHOP = st.sampled_from([0, 1]).map(lambda n: SHOPS[n])
CHANNEL = st.sampled_from(["email", "email", "sms"])


def some(values: list, most: int = 2) -> st.SearchStrategy[list]:
    return st.lists(st.sampled_from(values), max_size=most)


def facet(name: str, params: st.SearchStrategy[dict]) -> st.SearchStrategy[dict]:
    return params.map(lambda given: {name: given})


def optional(**params: st.SearchStrategy) -> st.SearchStrategy[dict]:
    return st.fixed_dictionaries({}, optional=params)


LEAVES = st.one_of(
    facet("country", st.fixed_dictionaries({"any_of": some(["CN", "us", "DE"])})),
    facet("province", st.fixed_dictionaries({"any_of": some(["广东", "浙江", "北京"])})),
    facet("city", st.fixed_dictionaries({"any_of": some(["杭州", "杭州市", "深圳", "市"])})),
    facet("known_since", st.fixed_dictionaries({"within": WINDOWS})),
    facet("known_in", optional(
        shop_ids=st.lists(SHOP, max_size=2), platforms=some(["taobao", "aliexpress", "jd"])
    ).filter(bool)),
    facet("tag", optional(any_of=some(TAGS), all_of=some(TAGS), none_of=some(TAGS, 1))),
    facet("tag", optional(any_of=some(TAGS), all_of=some(TAGS, 1), none_of=some(TAGS, 1),
                          within=WINDOWS, sources=some(SOURCES))),
    st.sampled_from([{"has_phone": {}}, {"has_email": {}}, {"has_name": {}}]),
    facet("birthday", st.one_of(
        st.fixed_dictionaries({"next_days": AHEAD}),
        st.sampled_from([1, 2, 6, 12]).map(lambda month: {"month": month}),
    )),
    facet("age", bounded(16, 60)),
    facet("first_purchase_anniversary", st.fixed_dictionaries({"next_days": AHEAD})),
    FIELD_RULES,
    *(facet(name, with_some(st.fixed_dictionaries({"channel": CHANNEL}), shop_id=SHOP))
      for name in ("opted_in", "opted_out", "consent_unproven")),
    facet("unsubscribed", optional(within=WINDOWS, channels=some(["email", "sms"]),
                                   shop_ids=st.lists(SHOP, max_size=2))),
    facet("random_share", st.builds(
        lambda cuts, seed: {"from_percent": str(min(cuts)), "to_percent": str(max(cuts)),
                            "seed": seed},
        st.lists(st.sampled_from([Decimal(0), Decimal("12.50"), Decimal("50.01"), Decimal(100)]),
                 min_size=2, max_size=2, unique=True),
        st.sampled_from(SEEDS),
    )),
)  # fmt: skip
EVALUATE = {
    "country": lambda params, one: one["country"] in [code.upper() for code in params["any_of"]],
    "province": lambda params, one: one["province"] in params["any_of"],
    "city": lambda params, one: (
        one["city"] is not None
        and one["city"].removesuffix("市") in [name.removesuffix("市") for name in params["any_of"]]
    ),
    "known_since": lambda params, one: in_window(params["within"], one["created_at"]),
    "known_in": known_in,
    "tag": tagged,
    "has_phone": lambda params, one: one["phone"] is not None,
    "has_email": lambda params, one: one["email"] is not None,
    "has_name": lambda params, one: one["name"] is not None,
    "birthday": lambda params, one: (
        one["birthday"] is not None
        and (
            one["birthday"].month == params["month"]
            if "month" in params
            else returns(one["birthday"], params["next_days"])
        )
    ),
    "age": lambda params, one: (
        one["birthday"] is not None and within(params, age_on(TODAY, one["birthday"]))
    ),
    "first_purchase_anniversary": first_anniversary,
    "custom_field": has_field,
    "opted_in": says("granted"),
    "opted_out": says("denied"),
    "consent_unproven": says("unproven"),
    "unsubscribed": unsubscribed,
    "random_share": lambda params, one: (
        Decimal(params["from_percent"]) * 100 <= one["parts"][params["seed"]]
        < Decimal(params["to_percent"]) * 100
    ),
}  # fmt: skip
