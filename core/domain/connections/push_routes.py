"""Where platforms push to: an address of each merchant for every connector that is pushed to."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from core.domain.connections.inbox import take_in
from core.registry import Owned, Registry, RegistryError
from core.sdk.connectors import Connector, Pushed
from core.sdk.facets import Text
from core.sdk.plugin import PluginContext
from core.sdk.web import WebRequest, WebResponse, WebRoute


def with_push_routes(registry: Registry) -> Registry:
    """The registry with a route for each connector that is pushed to, under its name.

    Raises RegistryError when a plugin has taken the name of one.
    """
    made: dict[str, Owned[WebRoute]] = {}
    for name, owned in registry.connectors.items():
        if isinstance(owned.value, Pushed):
            if (taken := registry.web_routes.get(name)) is not None:
                raise RegistryError(
                    f"the web route {name!r} of plugin {taken.plugin} has the name of the "
                    f"connector of {owned.plugin}, which is pushed to at that address: rename it"
                )
            made[name] = Owned(owned.plugin, _route(owned.value))
    routes: Mapping[str, Owned[WebRoute]] = {**registry.web_routes, **made}
    return replace(registry, web_routes=routes)


def _route(connector: Connector) -> WebRoute:
    title = Text(f"Messages of {connector.title.en}", f"{connector.title.zh}消息推送")
    return WebRoute(connector.name, title, _handler(connector), frozenset({"GET", "POST"}))


def _handler(connector: Connector) -> Callable[[PluginContext, WebRequest], Awaitable[WebResponse]]:
    async def handle(context: PluginContext, request: WebRequest) -> WebResponse:
        assert isinstance(connector, Pushed)
        changes, response = await connector.receive(context.settings, request)
        if changes:
            # answered once it is kept, and not before
            async with context.database.work(context.merchant_id) as w:
                await take_in(w, connector.name, changes)
        return response

    return handle
