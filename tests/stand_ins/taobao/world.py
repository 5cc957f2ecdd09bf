"""What the platform knows: apps, shops, tokens, and what happened in the shops."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta

from tests.stand_ins.gateways import Watched
from tests.stand_ins.taobao.shapes import at

FIRST_ID = 4_100_000_000_000_000_001


@dataclass
class App:
    key: str
    secret: str
    crm: bool = True
    """Of the CRM category: no classic order APIs."""
    renews: bool = True
    """Sold on the service market: its tokens can be refreshed."""


@dataclass
class Shop:
    user_id: int
    nick: str
    kind: str = "C"
    trades: dict = field(default_factory=dict)
    """For each tid the versions, each with the time from which lists show it."""
    refunds: dict = field(default_factory=dict)
    ratings: list = field(default_factory=list)
    feeds: dict = field(default_factory=dict)
    members: dict = field(default_factory=dict)
    traces: dict = field(default_factory=dict)
    coupons: dict = field(default_factory=dict)
    topics: set | None = field(default_factory=set)
    """Topics that are switched on for it; None means all, and at first there are none."""
    group: str = "default"


@dataclass
class Grant:
    """A token that was given out."""

    app: App
    shop: Shop
    ends: dict
    """When it ends: as a whole (""), and by class of calls."""
    refresh: str | None = None
    revoked: bool = False


@dataclass
class Message:
    id: int
    topic: str
    content: dict
    pub_time: object
    shop: Shop
    group: str
    given_at: object = None
    confirmed: bool = False


class World(Watched):
    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.apps, self.shops, self.grants, self.codes = {}, {}, {}, {}
        self.refreshes = {}
        self.messages = []
        self.skew = timedelta(0)
        self.disorder = False
        self.redelivery = timedelta(minutes=5)
        self.life = {"": 7_776_000, "r1": 0, "r2": 0, "w1": 0, "w2": 0}
        self.benefits, self.benefit_stock = {}, defaultdict(lambda: 1000)
        self.sms, self.sms_signs, self.sms_templates = [], {"示范店铺"}, {"SMS_1"}
        self._last_id = FIRST_ID

    # -- the platform's own ------------------------------------------------------------------

    def now(self):
        return self.clock() + self.skew

    def new_id(self):
        self._last_id += 1
        return self._last_id

    def app(self, key="12345678", secret="helloworld", **more):
        self.apps[key] = App(key, secret, **more)
        return self.apps[key]

    def shop(self, user_id=2200000000001, nick="示范店铺", kind="C"):
        self.shops[user_id] = Shop(user_id, nick, kind)
        return self.shops[user_id]

    def grant(self, app, shop, name=None):
        """Give out a token; returns its text."""
        token = name or f"620synthetic{len(self.grants):04d}"
        now = self.now()
        ends = {kind: now + timedelta(seconds=s) for kind, s in self.life.items() if s}
        refresh = f"{token}r" if app.renews else None
        self.grants[token] = Grant(app, shop, ends, refresh)
        if refresh:
            self.refreshes[refresh] = token
        return token

    def code(self, app, shop):
        """What the seller brings back from the page where he agreed."""
        code = f"code{len(self.codes)}"
        self.codes[code] = (app, shop)
        return code

    def revoke(self, shop):
        """The seller withdraws what he allowed."""
        for grant in self.grants.values():
            if grant.shop is shop:
                grant.revoked = True
        self.tell(shop, "taobao_top_AuthCancel", {"open_id": 1, "user_id": shop.user_id})

    # -- what happens in shops ---------------------------------------------------------------

    def trade(self, shop, tid=None, late=timedelta(0), topic=None, at_time=None, **changes):
        """Make or change a trade; lists show it `late`, its detail at once. Returns its tid."""
        now = at_time or self.now()
        tid = tid or self.new_id()
        versions = shop.trades.setdefault(tid, [])
        row = dict(versions[-1][1]) if versions else new_trade(tid, shop, now)
        row |= changes
        row.setdefault("modified", at(now))
        if "modified" not in changes:
            row["modified"] = at(now)
        if "orders" not in changes:
            row["orders"] = [
                line | {"status": row["status"]}
                if line["status"] not in ("TRADE_CLOSED",) else line
                for line in row["orders"]
            ]  # fmt: skip
        versions.append((now + late, row))
        if topic:
            told = {"tid": tid, "oid": tid, "seller_nick": shop.nick, "type": "guarantee_trade"}
            self.tell(shop, topic, told | {"buyer_open_uid": row["buyer_open_uid"]})
        return tid

    def tell(self, shop, topic, content, group=None):
        """A message for whoever listens."""
        if shop.topics is not None and topic not in shop.topics:
            return None
        message = Message(self.new_id(), topic, content, self.now(), shop, group or shop.group)
        self.messages.append(message)
        return message


def new_trade(tid, shop, now, buyer="0001", amount="59.00"):
    """A trade that is not paid yet, of one article."""
    return {
        "tid": tid, "ouid": f"AAGsynOuid{buyer}", "buyer_open_uid": f"AAHsynOpen{buyer}",
        "seller_nick": shop.nick, "type": "fixed", "status": "WAIT_BUYER_PAY",
        "created": at(now), "modified": at(now), "payment": amount, "total_fee": amount,
        "discount_fee": "0.00", "adjust_fee": "0.00", "post_fee": "0.00",
        "receiver_state": "浙江省", "receiver_city": "杭州市", "receiver_district": "西湖区",
        "seller_flag": 0, "has_buyer_message": False, "num": 1,
        "buyer_nick": "t**1", "receiver_name": "张**", "receiver_mobile": "*******0001",
        "receiver_address": "**路**号", "oaid": f"1syntheticOaid{buyer}",
        "buyer_message": "请尽快", "seller_memo": "",
        "orders": [{
            "oid": tid, "num_iid": 600000000003, "outer_iid": "A-300", "title": "纱布巾",
            "price": amount, "num": 1, "total_fee": amount, "payment": amount,
            "divide_order_fee": amount, "status": "WAIT_BUYER_PAY", "refund_status": "NO_REFUND",
            "cid": 50010001,
        }],
    }  # fmt: skip
