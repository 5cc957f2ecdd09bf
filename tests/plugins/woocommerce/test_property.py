"""Whatever happens in whichever order: in the end we know what the store knows."""

from typing import ClassVar

from hypothesis import given

from tests.plugins.walking_kit import Walk, some, steps, walking
from tests.plugins.woocommerce.kit import followed

FAULTS = (
    "http502", "broken_json", "dropped", "after_write", (429, {"Retry-After": "5"}, ""),
    (403, {}, "<html>a firewall</html>"),
)  # fmt: skip


class WooCommerceWalk(Walk):
    """What is told is sent to us, late, twice, in disorder, or never; lists are never late."""

    lists = "wc/v3/orders"
    next: ClassVar = {
        "pending": ("processing", "failed"),
        "failed": ("processing", "cancelled"),
        "processing": ("completed", "cancelled"),
        "completed": ("refunded",),
    }

    def begin(self, late, told):
        number = self.shop.world.order()
        self._tell("order.created", number, told)
        return number

    def go(self, number, state, late, told):
        self.shop.world.change(number, status=state)
        self._tell("order.updated", number, told)

    def _tell(self, topic, number, told):
        if told:
            self.sent.append(self.shop.world.message(self.shop.webhook, topic, number))


@some
@given(steps(FAULTS))
async def test_any_interleaving_ends_as_the_store_is(merchant, walk):
    async with walking(merchant, followed, WooCommerceWalk) as walking_there:
        await walking_there.take(walk)
        await walking_there.check()
