"""The installed plugins, and switching them on and off."""

from typing import Any

import strawberry

from core.domain.shops.plugins import (
    SETTINGS,
    disable_plugin,
    enable_plugin,
    enabled_plugins,
    shown_settings,
)
from core.domain.shops.web_routes import route_url
from core.schema.context import Info, field, mutation
from core.schema.errors import UserError
from core.schema.scalars import JSON
from core.schema.setting_versions import IN_WORDS, version_of


@strawberry.type(description="An address at which a plugin answers for this merchant.")
class PluginRoute:
    name: str
    title: str
    url: str = strawberry.field(
        description="To be entered at the platform or provider; keep it as you keep a password."
    )


@strawberry.type(description="An installed plugin, as this merchant has it.")
class Plugin:
    name: str
    title: str
    version: str
    enabled: bool
    settings: JSON = strawberry.field(description="The stored settings, secrets as ********.")
    settings_schema: JSON = strawberry.field(description="JSON Schema of the settings.")

    @field("SHOPS_READ", description=IN_WORDS)
    def settings_version(self, info: Info) -> int:
        return version_of(info, SETTINGS, self.name)

    @field("PLUGINS_WRITE", description="Where it is called by platforms and providers.")
    async def routes(self, info: Info) -> list[PluginRoute]:
        installation, merchant_id = info.context.installation, info.context.merchant_id
        keyring, base_url = installation.db.keyring, installation.settings.base_url
        return [
            PluginRoute(
                name=name,
                title=owned.value.title.en,
                url=route_url(keyring, base_url, merchant_id, name),
            )
            for name, owned in installation.registry.web_routes.items()
            if owned.plugin == self.name
        ]


@strawberry.type
class PluginEnablePayload:
    plugin: Plugin | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PluginDisablePayload:
    plugin: Plugin | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.input
class PluginEnableInput:
    settings: JSON = strawberry.field(
        description="An object; ******** in place of a secret keeps the one that is stored."
    )
    if_version: int | None = strawberry.field(
        default=None,
        description="Change them only if `settingsVersion` is still this, else it is `CONFLICT`.",
    )


async def all_plugins(info: Info) -> list[Plugin]:
    registry = info.context.installation.registry
    async with info.context.read() as session:
        enabled = await enabled_plugins(session)
        return [
            Plugin(
                name=name,
                title=manifest.title,
                version=manifest.version,
                enabled=name in enabled,
                settings=JSON(await shown_settings(session, registry, name)),
                settings_schema=JSON(manifest.settings.model_json_schema()),
            )
            for name, manifest in registry.manifests.items()
        ]


async def one_plugin(info: Info, name: str) -> Plugin | None:
    return next((plugin for plugin in await all_plugins(info) if plugin.name == name), None)


@strawberry.type
class PluginQueries:
    @field("SHOPS_READ")
    async def plugins(self, info: Info) -> list[Plugin]:
        return await all_plugins(info)


@strawberry.type
class PluginMutations:
    @mutation(
        "PLUGINS_WRITE",
        PluginEnablePayload,
        description="Try and store the settings, and switch the plugin on.",
    )
    async def plugin_enable(
        self, info: Info, name: str, input: PluginEnableInput
    ) -> PluginEnablePayload | None:
        given: Any = input.settings
        context = info.context
        registry = context.installation.registry
        await enable_plugin(
            context.installation.db,
            context.merchant_id,
            registry,
            name,
            given,
            context.actor,
            input.if_version,
        )
        return PluginEnablePayload(plugin=await one_plugin(info, name))

    @mutation("PLUGINS_WRITE", PluginDisablePayload)
    async def plugin_disable(self, info: Info, name: str) -> PluginDisablePayload | None:
        async with info.context.work() as w:
            await disable_plugin(w, info.context.installation.registry, name)
        return PluginDisablePayload(plugin=await one_plugin(info, name))
