"""The Taobao plugin's business card."""

from collections.abc import Sequence

from core.sdk import (
    Channel,
    Connector,
    Manifest,
    OrderFormat,
    SettingsCheck,
    Text,
    WebRoute,
    hookimpl,
)
from plugins.taobao import spi
from plugins.taobao.checks import check_app
from plugins.taobao.connector import TaobaoConnector
from plugins.taobao.formats import SELLER_CENTRE
from plugins.taobao.settings import TaobaoSettings
from plugins.taobao.sms import TaobaoSms


class TaobaoPlugin:
    manifest = Manifest(
        name="taobao",
        title="Taobao and Tmall",
        version="0.2.0",
        core=">=0.1,<0.2",
        settings=TaobaoSettings,
    )

    @hookimpl
    def channels(self) -> Sequence[Channel]:
        return [TaobaoSms()]

    @hookimpl
    def connectors(self) -> Sequence[Connector]:
        return [TaobaoConnector()]

    @hookimpl
    def order_formats(self) -> Sequence[OrderFormat]:
        return [SELLER_CENTRE]

    @hookimpl
    def web_routes(self) -> Sequence[WebRoute]:
        title = Text("Joins and exits of members", "会员通 SPI")
        return [WebRoute(spi.ROUTE, title, spi.take)]

    @hookimpl
    def settings_checks(self) -> Sequence[SettingsCheck]:
        return [SettingsCheck("taobao.app", check_app)]


plugin = TaobaoPlugin()
