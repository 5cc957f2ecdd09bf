"""How many messages are filled in per second, beside python-liquid without anything around it.

`ratio` is our rate divided by bare Liquid's for the same text. A text of plain variables takes a
path of its own; one with loops and conditions goes through Liquid.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

from liquid import Environment

from bench.large import show
from core.domain.campaigns.content.html import prepared
from core.domain.campaigns.content.message import Content, Recipient, Sender
from core.domain.campaigns.content.values import Amount
from core.sdk.channels import ContentField
from core.sdk.flows import Options
from core.storage.keyring import Keyring

ROUNDS = 5
SECONDS = 0.5
SENDER = Sender("Huike", "小店", "Asia/Shanghai")
URL = "https://crm.example"

TEXT = (
    "{{ customer.name }}，您的订单 {{ order.number }} 已发货，"
    "快递单号 {{ parcel.tracking_number }}。"
)
PLAIN = (
    "<p>{{ customer.name }}，您好</p>" + "<p>" + "很高兴再次见到您。" * 60 + "</p>"
    '<p>{{ customer.city | default: "您的城市" }}</p><a href="{{ unsubscribe_url }}">退订</a>'
)
LOOP = PLAIN + (
    "<table>{% for item in order.items %}<tr><td>{{ item.title }}</td>"
    "<td>{{ item.quantity }}</td></tr>{% endfor %}</table>"
    "{% if order.total > 100 %}<p>满 100 包邮</p>{% endif %}"
)
VALUES: dict[str, Any] = {
    "order.number": "E100", "order.total": Amount(19900, "CNY"), "order.currency": "CNY",
    "parcel.tracking_number": "SF100",
    "order.items": [{"title": f"茶 {n}", "quantity": n} for n in range(1, 6)],
}  # fmt: skip


class _Letter:
    name = title = "letter"
    contact: Any = "email"
    concurrency = 1
    fields: tuple[ContentField, ...] = (ContentField("html", "Message", html=True),)

    def open(self, settings: Any) -> Any:
        raise NotImplementedError


class _Texts(_Letter):
    fields = (ContentField("text", "Message"),)


def main() -> None:
    """Run and show."""
    _beside_liquid("text_message", _Texts(), TEXT)
    _beside_liquid("plain_email", _Letter(), PLAIN)
    _beside_liquid("liquid_email", _Letter(), LOOP)
    _tracked()
    _prepared()


def _beside_liquid(name: str, channel: _Letter, source: str) -> None:
    (field,) = channel.fields
    content = Content(channel, {field.name: source}, SENDER)
    recipient = Recipient("林小姐", "浙江省", "杭州市", f"{URL}/u", f"{URL}/p", VALUES)
    bare = Environment(autoescape=field.html).from_string(source)
    nested = {
        "customer": {"name": "林小姐", "city": "杭州市"}, "unsubscribe_url": f"{URL}/u",
        "order": {key[6:]: value for key, value in VALUES.items() if key.startswith("order.")},
        "parcel": {"tracking_number": "SF100"},
    }  # fmt: skip
    assert content.render(recipient)[field.name] == bare.render(**nested)
    ours, floor, ratios = [], [], []
    for _ in range(ROUNDS):
        ours.append(_rate(lambda: content.render(recipient)))
        floor.append(_rate(lambda: bare.render(**nested)))
        ratios.append(ours[-1] / floor[-1])
    show(f"content_{name}", statistics.median(ours), "messages/s", beside="bare python-liquid",
         floor=round(statistics.median(floor)), ratio=round(statistics.median(ratios), 2),
         low=round(min(ratios), 2), high=round(max(ratios), 2))  # fmt: skip


def _tracked() -> None:
    """The same email with five tracked links, which are signed for each message."""
    links = "".join(f'<a href="https://shop.example/{n}">{n}</a>' for n in range(5))
    content = Content(_Letter(), {"html": PLAIN + links}, SENDER, None, Options())
    keyring = Keyring.generate()

    def one() -> None:
        values = content.tracking.values(keyring, URL, 7, 10**9)
        content.render(Recipient("林小姐", None, None, f"{URL}/u", f"{URL}/p", values))

    rates = [_rate(one) for _ in range(ROUNDS)]
    show("content_tracked_email", statistics.median(rates), "messages/s", links=5,
         low=round(min(rates)), high=round(max(rates)))  # fmt: skip


def _prepared() -> None:
    """Working in a style sheet, once per text."""
    source = "<style>p{color:red}td{padding:1px}</style>" + LOOP
    rates = [_rate(lambda: prepared.__wrapped__(source)) for _ in range(ROUNDS)]
    show("content_styles_inlined", statistics.median(rates), "texts/s",
         low=round(min(rates)), high=round(max(rates)))  # fmt: skip


def _rate(call: Callable[[], object]) -> float:
    """Calls per second of this process's own time: what else the machine does counts little."""
    count, started = 0, time.process_time()
    while (taken := time.process_time() - started) < SECONDS:
        for _ in range(100):
            call()
        count += 100
    return count / taken
