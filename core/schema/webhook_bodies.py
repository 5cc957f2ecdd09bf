"""Running the documents that make the bodies of webhooks."""

from collections.abc import Mapping
from typing import Any

from core.domain.shops.caller import Caller
from core.domain.shops.webhooks.delivering import DocumentFailed, Render
from core.domain.shops.webhooks.webhooks import Settings
from core.schema.documents import Documents
from core.sdk.ids import join_id


def renderer(documents: Documents) -> Render:
    """Runs a webhook's document with the webhook's rights and an event's fields as variables."""

    async def render(
        merchant_id: int, webhook_id: int, settings: Settings, event: Mapping[str, Any]
    ) -> Any:
        assert settings.document is not None
        caller = Caller(
            merchant_id, frozenset(settings.permissions), acting=f"webhook:{webhook_id}"
        )
        request_id = f"webhook-{join_id('Webhook', webhook_id)}"
        try:
            result = await documents.run(caller, settings.document, event, request_id)
        except TimeoutError:
            raise DocumentFailed("it takes too long: ask for less") from None
        if result.errors:  # never half a payload
            raise DocumentFailed("; ".join(one.message for one in result.errors[:3]))
        return result.data

    return render
