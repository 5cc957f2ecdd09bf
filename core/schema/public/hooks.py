"""The addresses at which plugins answer: what platforms and providers push to a merchant."""

import logging

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from core.domain.shops.plugins import plugin_context
from core.domain.shops.web_routes import read_route_token, route_url
from core.guard import PluginFailed, guarded
from core.installation import Installation
from core.sdk.errors import (
    HuikeError,
    PluginDisabled,
    ReconnectNeeded,
    Refused,
    RetryLater,
    Several,
    Unknown,
)
from core.sdk.web import WebRequest, WebResponse

logger = logging.getLogger(__name__)


async def answer(installation: Installation, request: Request) -> Response:
    """Hand the request to the plugin whose address it is; an unknown address is a plain 404."""
    db, registry = installation.db, installation.registry
    name, token = request.path_params["route"], request.path_params["token"]
    merchant_id = read_route_token(db.keyring, name, token)
    owned = registry.web_routes.get(name)
    if merchant_id is None or owned is None:
        return PlainTextResponse("there is nothing at this address\n", 404)
    route = owned.value
    if request.method not in route.methods:
        allowed = ", ".join(sorted(route.methods))
        return PlainTextResponse(f"use {allowed}\n", 405, {"allow": allowed})
    body = await request.body()
    if len(body) > route.max_bytes:
        return PlainTextResponse(f"at most {route.max_bytes} bytes\n", 413)
    url = route_url(db.keyring, installation.settings.base_url, merchant_id, name)
    if query := request.url.query:
        url = f"{url}?{query}"
    given = WebRequest(
        request.method, url, request.query_params.multi_items(), dict(request.headers), body
    )
    try:
        context = await plugin_context(db, registry, owned.plugin, merchant_id)
        seconds = registry.manifests[owned.plugin].timeout
        answered = await guarded(owned.plugin, merchant_id, seconds, route.handle(context, given))
    except PluginDisabled:
        return PlainTextResponse("there is nothing at this address\n", 404)
    except Refused as error:
        return _told(name, merchant_id, 403, str(error))
    except (PluginFailed, RetryLater, ReconnectNeeded, Unknown) as error:
        return _told(name, merchant_id, 503, str(error))
    except (HuikeError, Several) as error:
        return _told(name, merchant_id, 400, str(error))
    return _response(answered)


def _response(answered: WebResponse) -> Response:
    body = answered.body.encode() if isinstance(answered.body, str) else answered.body
    headers = {**answered.headers, "content-type": answered.content_type}
    return Response(body, answered.status, headers)


def _told(route: str, merchant_id: int, status: int, reason: str) -> Response:
    logger.warning("%s of merchant %s answers %s: %s", route, merchant_id, status, reason)
    return PlainTextResponse(reason + "\n", status)
