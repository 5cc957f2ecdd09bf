"""Two years of an invented shop, the same for the same seed and end date.

The shop sells tea and snacks and grows. Its people and orders are drawn at random; two figures
are tuned so that they look like a healthy shop's: about 45 % of the last year's sales come from
old customers, and about 18 % of the customers from before that year bought again in it.
"""

import csv
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path

DAYS = 730
YEAR = 365
CUSTOMERS = 20_000
ORDERS = 60_000

NEVER_PAID = 0.02
"""Share of customers with nothing but orders that they never paid."""
COMES_AGAIN = 0.484
"""Chance that one purchase is followed by another."""
GAP_MEDIAN = 46.0
GAP_SPREAD = 0.9
"""Days between two purchases are log-normal with this median and spread."""
UNPAID = 0.155
FULLY_REFUNDED = 0.03
PARTLY_REFUNDED = 0.04
WITH_EMAIL = 0.7

SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭"
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红梅建国志文宇欣怡浩然子涵梓萱雨晨佳琪"
    "思远一诺晓彤俊凯雪莹嘉豪美玲海燕春燕晨曦若溪"
)
# weights follow the number of online buyers, roughly
PLACES: Sequence[tuple[str, int, tuple[str, ...]]] = (
    ("广东省", 140, ("广州市", "深圳市", "佛山市", "东莞市")),
    ("浙江省", 110, ("杭州市", "宁波市", "温州市", "金华市")),
    ("江苏省", 105, ("南京市", "苏州市", "无锡市", "常州市")),
    ("上海", 75, ("上海市",)),
    ("北京", 65, ("北京市",)),
    ("山东省", 70, ("济南市", "青岛市", "烟台市")),
    ("四川省", 55, ("成都市", "绵阳市")),
    ("河南省", 50, ("郑州市", "洛阳市")),
    ("福建省", 50, ("福州市", "厦门市", "泉州市")),
    ("湖北省", 48, ("武汉市", "宜昌市")),
    ("湖南省", 40, ("长沙市", "岳阳市")),
    ("河北省", 40, ("石家庄市", "保定市")),
    ("安徽省", 36, ("合肥市", "芜湖市")),
    ("陕西省", 28, ("西安市",)),
    ("辽宁省", 30, ("沈阳市", "大连市")),
    ("重庆", 28, ("重庆市",)),
    ("江西省", 22, ("南昌市", "赣州市")),
    ("广西壮族自治区", 20, ("南宁市", "桂林市")),
    ("黑龙江省", 16, ("哈尔滨市",)),
    ("云南省", 16, ("昆明市",)),
    ("天津", 16, ("天津市",)),
    ("山西省", 14, ("太原市",)),
    ("吉林省", 12, ("长春市",)),
    ("贵州省", 11, ("贵阳市",)),
    ("内蒙古自治区", 9, ("呼和浩特市",)),
    ("新疆维吾尔自治区", 7, ("乌鲁木齐市",)),
    ("甘肃省", 7, ("兰州市",)),
    ("海南省", 6, ("海口市",)),
)
STREETS = ("人民路", "中山路", "解放路", "建设路", "和平路", "文化路", "长江路", "学府路")
DISTRICTS = ("城东区", "城西区", "新城区", "高新区")
# title, price in fen, weight
ARTICLES: Sequence[tuple[str, int, int]] = (
    ("明前龙井绿茶 2025新茶 50g罐装", 12800, 8),
    ("安溪铁观音 浓香型 250g礼盒", 16800, 7),
    ("正山小种红茶 一级 100g", 8800, 9),
    ("云南普洱熟茶饼 357g", 13800, 6),
    ("福鼎白茶 老寿眉 300g", 15800, 5),
    ("茉莉花茶 浓香 袋泡茶 20包", 3980, 14),
    ("冻干柠檬片 泡水 100g", 2980, 13),
    ("宁夏枸杞 特级 500g", 5980, 10),
    ("每日坚果 混合果仁 30包", 9900, 12),
    ("手工桂花糕 传统糕点 300g", 3280, 11),
    ("内蒙古牛肉干 原味 500g", 10800, 8),
    ("新疆红枣 灰枣 1000g", 4580, 9),
    ("手冲玻璃茶壶 耐高温 600ml", 7900, 4),
    ("陶瓷品茗杯 六只装", 6800, 4),
    ("年货礼盒 茶点组合 送礼", 23800, 3),
)
CARRIERS = (("中通快递", "ZT"), ("圆通速递", "YT"), ("韵达快递", "YD"), ("顺丰速运", "SF"))
# more people buy around the big sales: month, day, days around, factor
PEAKS = ((11, 11, 2, 4.0), (6, 18, 2, 2.5), (12, 12, 1, 2.0), (1, 15, 6, 1.6))


@dataclass(slots=True)
class Person:
    """A customer. `account` is what they pay with: an email address, or their phone number."""

    nick: str
    name: str
    phone: str
    account: str
    province: str
    city: str
    address: str


@dataclass(slots=True)
class ShopOrder:
    """An order of one person. Amounts are fen; `paid_at` is None when it was never paid."""

    number: str
    person: int
    ordered_at: datetime
    paid_at: datetime | None
    lines: list[tuple[str, int]]
    amount: int
    refunded: int = 0
    parcels: list[str] = field(default_factory=list)
    carrier: str = ""
    state: str = ""
    closed_because: str = ""


@dataclass(frozen=True)
class ShopData:
    """The whole shop; `end` is the last day with orders."""

    end: date
    people: list[Person]
    orders: list[ShopOrder]


@dataclass(frozen=True)
class Figures:
    """The last year's share of sales from old customers, and the share of them that came back."""

    old_share: float
    old_repurchase: float


def make_shop(
    end: date, seed: int = 20_251, customers: int = CUSTOMERS, orders: int = ORDERS
) -> ShopData:
    """A shop whose last day is `end`, with exactly so many customers and orders."""
    r = random.Random(seed)
    people = [_person(r, number) for number in range(customers)]
    days = _DayDrawer(r, end)
    purchases = [
        (person, day)
        for person in range(customers)
        if r.random() >= NEVER_PAID
        for day in _purchase_days(r, days)
    ]
    buyers = {person for person, _ in purchases}
    made = [_order(r, person, day, days.first, _pay(r)) for person, day in purchases]
    made += [
        _order(r, person, days.draw(), days.first, "unpaid")
        for person in range(customers)
        if person not in buyers
    ]
    _fill(r, made, purchases, days, orders)
    made.sort(key=lambda order: (order.ordered_at, order.person))
    for number, order in enumerate(made):
        order.number = str(3_900_000_000_000_000_000 + number * 7_919 * 1_009 + order.person)
        _ship(r, order, end)
    return ShopData(end, people, made)


def measure(shop: ShopData) -> Figures:
    """The two figures, with purchases merged by customer and day, and returns left out."""
    start = shop.end - timedelta(days=YEAR - 1)
    first: dict[int, date] = {}
    bought = [
        (order.person, order.paid_at.date(), order.amount - order.refunded)
        for order in shop.orders
        if order.paid_at is not None and order.refunded < order.amount
    ]
    for person, day, _ in bought:
        first[person] = min(first.get(person, day), day)
    total = sum(net for _, day, net in bought if day >= start)
    old = sum(net for person, day, net in bought if day >= start and day > first[person])
    before = {person for person, day in first.items() if day < start}
    again = {person for person, day, _ in bought if day >= start} & before
    return Figures(old / total, len(again) / len(before))


class _DayDrawer:
    """Draws days of the two years: a growing shop with its big sales."""

    def __init__(self, r: random.Random, end: date) -> None:
        self.r = r
        self.first = end - timedelta(days=DAYS - 1)
        self.count = DAYS
        self.weights = []
        total = 0.0
        for number in range(DAYS):
            total += (1 + number / DAYS) * _peak(self.first + timedelta(days=number))
            self.weights.append(total)

    def draw(self) -> int:
        return self.r.choices(range(DAYS), cum_weights=self.weights)[0]


def _peak(day: date) -> float:
    for month, at, around, factor in PEAKS:
        if abs((day - date(day.year, month, at)).days) <= around:
            return factor
    return 1.0


def _purchase_days(r: random.Random, days: _DayDrawer) -> Iterator[int]:
    day = days.draw()
    while day < DAYS:
        yield day
        if r.random() >= COMES_AGAIN:
            return
        day += max(1, round(GAP_MEDIAN * r.lognormvariate(0, GAP_SPREAD)))


def _person(r: random.Random, number: int) -> Person:
    province, _, cities = r.choices(PLACES, weights=[weight for _, weight, _ in PLACES])[0]
    city = r.choice(cities)
    name = r.choice(SURNAMES) + "".join(r.choices(GIVEN, k=r.choice((1, 2, 2))))
    phone = f"{r.choice((134, 138, 150, 159, 186))}{number:08d}"
    return Person(
        nick=f"{r.choice(SURNAMES)}{r.choice(('小', '爱', '家的', '_'))}{r.choice(GIVEN)}{number}",
        name=name,
        phone=phone,
        account=_email(number) if r.random() < WITH_EMAIL else phone,
        province=province,
        city=city,
        address=f"{r.choice(DISTRICTS)} {r.choice(STREETS)}{r.randrange(1, 400)}号",
    )


def _email(number: int) -> str:
    """At reserved names, which belong to nobody. The demo's mail sink reads the odd ones' wish."""
    wish = ""
    if number % 150 == 7:
        wish = "fail550."  # no such mailbox
    elif number % 500 == 11:
        wish = "retry450."  # mailbox busy, each time
    elif number % 1500 == 13:
        wish = "lost."  # the connection breaks when the message has been handed over
    return f"{wish}buyer{number:05d}@{('mail', 'post', 'inbox')[number % 3]}.example"


def _pay(r: random.Random) -> str:
    return "partly" if r.random() < PARTLY_REFUNDED else "paid"


def _order(r: random.Random, person: int, day: int, first: date, outcome: str) -> ShopOrder:
    moment = time(r.choices(range(24), weights=_HOURS)[0], r.randrange(60), r.randrange(60))
    at = datetime.combine(first + timedelta(days=day), moment)
    kinds = r.choices((1, 2, 3), weights=(70, 22, 8))[0]
    picked = r.choices(ARTICLES, weights=[weight for _, _, weight in ARTICLES], k=kinds)
    lines = [(title, r.choices((1, 2, 3), weights=(80, 15, 5))[0]) for title, _, _ in picked]
    amount = sum(
        price * quantity for (_, price, _), (_, quantity) in zip(picked, lines, strict=True)
    )
    amount -= r.choice((0, 0, 0, 300, 500, 1000))
    order = ShopOrder("", person, at, None, lines, amount)
    if outcome == "unpaid":
        order.closed_because = "买家未付款"
        return order
    # paid on the same day, so that a day's purchase stays one
    order.paid_at = min(at + timedelta(seconds=r.randrange(5, 1500)), _day_end(at))
    if outcome == "partly":
        order.refunded = amount * r.choice((10, 20, 50)) // 100
    elif outcome == "refunded":
        order.refunded = amount
        order.closed_because = "买家申请退款"
    return order


_HOURS = (4, 2, 1, 1, 1, 1, 2, 4, 7, 10, 13, 12, 11, 11, 11, 11, 11, 10, 9, 11, 15, 17, 14, 8)


def _day_end(at: datetime) -> datetime:
    return datetime.combine(at.date(), time(23, 59, 59))


def _fill(
    r: random.Random,
    made: list[ShopOrder],
    purchases: Sequence[tuple[int, int]],
    days: _DayDrawer,
    orders: int,
) -> None:
    """Orders never paid, orders sent back, and second orders of one day, up to the number."""
    if len(made) > orders:
        raise ValueError(f"{len(made)} purchases do not fit into {orders} orders")
    unpaid, refunded = round(orders * UNPAID), round(orders * FULLY_REFUNDED)
    while len(made) < orders:
        person, day = r.choice(purchases)
        outcome = "unpaid" if unpaid > 0 else "refunded" if refunded > 0 else _pay(r)
        unpaid -= outcome == "unpaid"
        refunded -= outcome == "refunded"
        # an order that came to nothing may be of another day than the purchase
        shifted = day if outcome in ("paid", "partly") else min(day + r.randrange(0, 20), DAYS - 1)
        made.append(_order(r, person, shifted, days.first, outcome))


def _ship(r: random.Random, order: ShopOrder, end: date) -> None:
    age = (end - order.ordered_at.date()).days
    if order.paid_at is None:
        order.state = "等待买家付款" if age == 0 else "交易关闭"
        order.closed_because = "" if age == 0 else order.closed_because
        return
    if order.refunded == order.amount:
        order.state = "交易关闭"
    elif age < 2:
        order.state = "买家已付款，等待卖家发货"
        return
    else:
        order.state = "卖家已发货，等待买家确认" if age < 9 else "交易成功"
    order.carrier, prefix = r.choice(CARRIERS)
    # several warehouses: an order of several articles may come in several parcels
    count = 2 if len(order.lines) > 1 and r.random() < 0.35 else 1
    order.parcels = [f"{prefix}{r.randrange(10**12, 10**13)}" for _ in range(count)]


HEADERS = (
    "订单编号", "买家会员名", "买家支付宝账号", "买家应付货款", "买家应付邮费", "总金额",
    "买家实际支付金额", "订单状态", "买家留言", "收货人姓名", "收货地址", "运送方式", "联系电话",
    "联系手机", "订单创建时间", "订单付款时间", "宝贝标题", "宝贝种类", "物流单号", "物流公司",
    "订单备注", "宝贝总数量", "店铺名称", "订单关闭原因", "退款金额",
)  # fmt: skip


def write_taobao_csv(shop: ShopData, path: Path, shop_name: str) -> None:
    """Write the shop's orders as the seller centre exports them: GBK, numbers as ="123"."""
    with path.open("w", encoding="gbk", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADERS)
        for order in shop.orders:
            writer.writerow(_row(order, shop.people[order.person], shop_name))


def _row(order: ShopOrder, person: Person, shop_name: str) -> list[str]:
    paid = order.paid_at is not None
    return [
        f'="{order.number}"', person.nick, person.account, _yuan(order.amount), "0.00",
        _yuan(order.amount), _yuan(order.amount) if paid else "0.00", order.state, "", person.name,
        f"{person.province} {person.city} {person.address}", "快递", "", f"'{person.phone}",
        f"{order.ordered_at:%Y-%m-%d %H:%M:%S}",
        f"{order.paid_at:%Y-%m-%d %H:%M:%S}" if order.paid_at else "",
        "，".join(title for title, _ in order.lines), str(len(order.lines)),
        ",".join(order.parcels), order.carrier, "", str(sum(n for _, n in order.lines)),
        shop_name, order.closed_because, _yuan(order.refunded),
    ]  # fmt: skip


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"
