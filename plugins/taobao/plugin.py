"""The Taobao plugin's business card."""

from collections.abc import Sequence

from core.sdk import Manifest, OrderFormat, hookimpl
from plugins.taobao.formats import SELLER_CENTRE


class TaobaoPlugin:
    manifest = Manifest(name="taobao", title="Taobao and Tmall", version="0.1.0", core=">=0.1,<0.2")

    @hookimpl
    def order_formats(self) -> Sequence[OrderFormat]:
        return [SELLER_CENTRE]


plugin = TaobaoPlugin()
