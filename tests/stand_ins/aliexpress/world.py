"""What the platform knows: apps, shops, tokens, and what happened in the shops.

Times are instants here; only what is sent out and asked for is in the platform's own.
"""

from dataclasses import dataclass, field
from datetime import timedelta

from tests.stand_ins.gateways import Watched

FIRST_ID = 1_100_000_000_000_000_001


@dataclass
class App:
    key: str
    secret: str


@dataclass
class Shop:
    seller_id: int
    nick: str
    orders: dict = field(default_factory=dict)
    """For each number the versions, each with the time from which lists show it."""
    issues: list = field(default_factory=list)
    evaluations: list = field(default_factory=list)
    activities: list = field(default_factory=list)
    buyers: dict = field(default_factory=dict)
    """The number of each buyer to whom the shop may write, by his login."""
    sent: list = field(default_factory=list)
    """Messages that the shop sent."""


@dataclass
class Grant:
    app: App
    shop: Shop
    ends: object
    refresh: str
    refresh_ends: object
    revoked: bool = False


class World(Watched):
    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.apps, self.shops, self.grants, self.codes = {}, {}, {}, {}
        self.opened = set()
        """Conversations that shops have opened."""
        self.skew = timedelta(0)
        self.envelope = "simplified"
        """Or "shell", or "result": what an answer comes in."""
        self.fold = 0
        """Which of two hours is meant by a time of the hour that comes twice."""
        self.path_messages = False
        """Whether the message services are called by path."""
        self.life, self.refresh_life = 30 * 86_400, 60 * 86_400
        self._last_id = FIRST_ID

    def now(self):
        return (self.clock() + self.skew).replace(microsecond=0)

    def new_id(self):
        self._last_id += 1
        return self._last_id

    def app(self, key="500000", secret="aesecret"):
        self.apps[key] = App(key, secret)
        return self.apps[key]

    def shop(self, seller_id=200000001, nick="cn1000000001"):
        self.shops[seller_id] = Shop(seller_id, nick)
        return self.shops[seller_id]

    def grant(self, app, shop, refresh=None, refresh_ends=None):
        """Give out a token; returns its text. A refreshed one keeps the end of its refresh."""
        token = f"50000syn{len(self.grants):04d}"
        now = self.now()
        self.grants[token] = Grant(
            app, shop, now + timedelta(seconds=self.life), refresh or f"{token}r",
            refresh_ends or now + timedelta(seconds=self.refresh_life),
        )  # fmt: skip
        return token

    def code(self, app, shop):
        code = f"3_{app.key}_code{len(self.codes)}"
        self.codes[code] = (app, shop)
        return code

    def order(self, shop, number=None, late=timedelta(0), at_time=None, **changes):
        """Make or change an order; lists show it `late`, its detail at once. Returns its number."""
        now = at_time or self.now()
        number = number or self.new_id()
        versions = shop.orders.setdefault(number, [])
        row = dict(versions[-1][1]) if versions else new_order(number, shop, now)
        row |= {"gmt_update": now} | changes
        versions.append((now + late, row))
        shop.buyers.setdefault(row["buyer_login_id"], 300000000 + len(shop.buyers))
        return number


def new_order(number, shop, now, amount="23.45", currency="USD"):
    """An order that is not paid yet, of one article."""
    money = {"amount": amount, "currency_code": currency}
    return {
        "order_id": number, "order_status": "PLACE_ORDER_SUCCESS", "biz_type": "AE_COMMON",
        "buyer_login_id": "es1000000001abc", "buyer_signer_fullname": "A*** B***",
        "pay_amount": money, "gmt_create": now, "gmt_update": now, "fund_status": "NOT_PAY",
        "frozen_status": "NO_FROZEN", "issue_status": "NO_ISSUE",
        "logistics_status": "WAIT_SELLER_SEND_GOODS", "phone": True,
        "seller_login_id": shop.nick, "seller_operator_login_id": f"{shop.nick}op",
        "country": "ES", "city": "Madrid", "parcels": [],
        "lines": [{
            "child_id": number + 500_000, "order_id": number, "product_id": 3256800000000001,
            "product_name": "Baby hat", "sku_code": "A-200", "product_count": 1,
            "product_unit_price": money, "total_product_amount": money, "memo": "",
        }],
    }  # fmt: skip
