"""The Taobao plugin's business card."""

from core.sdk import Manifest


class TaobaoPlugin:
    manifest = Manifest(name="taobao", title="Taobao and Tmall", version="0.1.0", core=">=0.1,<0.2")


plugin = TaobaoPlugin()
