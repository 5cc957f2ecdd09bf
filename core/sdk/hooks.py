"""The hooks. Each only contributes typed objects, once, at start; those objects do the work.

A plugin implements any of them on its plugin object:

    from core.sdk import hookimpl

    class MyPlugin:
        manifest = Manifest(name="mine", ...)

        @hookimpl
        def channels(self):
            return [MyChannel()]

Contributions are sorted by plugin name. Two that claim one name stop the start, and the message
names both plugins. docs/plugins/hooks.md has a section for each hook.
"""

from collections.abc import Sequence

import click
import pluggy

from core.sdk.actions import Action
from core.sdk.channels import Channel
from core.sdk.codes import CodeSource
from core.sdk.connectors import Connector
from core.sdk.errors import HuikeError
from core.sdk.facets import Facet
from core.sdk.orders import OrderFormat
from core.sdk.personal import PersonalTable
from core.sdk.plugin import (
    HealthCheck,
    Manifest,
    NodeType,
    SchemaField,
    SettingsCheck,
    Subscriber,
)
from core.sdk.recipes import Recipe
from core.sdk.rewards import RewardProvider
from core.sdk.ticks import Tick
from core.sdk.timeline import TimelineSource
from core.sdk.variables import VariableSource
from core.sdk.web import WebRoute

PROJECT = "huike"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class HookDeprecated(DeprecationWarning):
    """A hook that goes: `hookspec(warn_on_impl=HookDeprecated("0.2", "0.4", "use facets"))`.

    It works as before in all versions from `since` to the one before `until`, at least one minor
    version after it. Raises ValueError for a shorter time.
    """

    def __init__(self, since: str, until: str, use: str) -> None:
        (major, minor), end = (tuple(map(int, one.split("."))) for one in (since, until))
        if end < (major, minor + 2):
            raise ValueError("a deprecated hook works for at least one minor version more")
        super().__init__(f"deprecated since {since}, works until {until}: {use}")
        self.until = until


class ConnectorPlugin:
    """A plugin that brings connectors and nothing else."""

    def __init__(self, manifest: Manifest, *connectors: Connector) -> None:
        self.manifest = manifest
        self._connectors = connectors

    @hookimpl
    def connectors(self) -> Sequence[Connector]:
        """Those that were given."""
        return self._connectors


class Hooks:
    """The specification of every hook."""

    @hookspec
    def channels(self) -> Sequence[Channel]:  # type: ignore[empty-body]
        """Ways to reach customers. A channel's name is its plugin's, or starts with it."""

    @hookspec
    def facets(self) -> Sequence[Facet]:  # type: ignore[empty-body]
        """Questions that a segment's rule can ask. A facet's name starts with the plugin's."""

    @hookspec
    def order_formats(self) -> Sequence[OrderFormat]:  # type: ignore[empty-body]
        """Files of orders that `huike import orders` and `orderImportStart` can read."""

    @hookspec
    def schema_fields(self) -> Sequence[SchemaField]:  # type: ignore[empty-body]
        """GraphQL fields added to core's types."""

    @hookspec
    def node_types(self) -> Sequence[NodeType]:  # type: ignore[empty-body]
        """GraphQL types of the plugin whose objects `node` and `nodes` find by their ids."""

    @hookspec
    def subscribers(self) -> Sequence[Subscriber]:  # type: ignore[empty-body]
        """Code to run on domain events, for merchants who enabled the plugin."""

    @hookspec
    def error_codes(self) -> Sequence[type[HuikeError]]:  # type: ignore[empty-body]
        """Error classes of the plugin; their codes join the one ErrorCode enum."""

    @hookspec
    def settings_checks(self) -> Sequence[SettingsCheck]:  # type: ignore[empty-body]
        """Real calls that try a merchant's settings when the plugin is enabled."""

    @hookspec
    def health_checks(self) -> Sequence[HealthCheck]:  # type: ignore[empty-body]
        """Checks that `huike doctor` runs for each merchant who enabled the plugin."""

    @hookspec
    def personal_tables(self) -> Sequence[PersonalTable]:  # type: ignore[empty-body]
        """Tables with data about customers: merged, exported and erased with them."""

    @hookspec
    def timeline_sources(self) -> Sequence[TimelineSource]:  # type: ignore[empty-body]
        """Events that a customer's timeline shows. A source's name starts with the plugin's."""

    @hookspec
    def actions(self) -> Sequence[Action]:  # type: ignore[empty-body]
        """What a step of a journey can do. An action's name starts with the plugin's."""

    @hookspec
    def campaign_recipes(self) -> Sequence[Recipe]:  # type: ignore[empty-body]
        """Ready-made campaigns. A recipe's name starts with the plugin's."""

    @hookspec
    def reward_providers(self) -> Sequence[RewardProvider]:  # type: ignore[empty-body]
        """Who hands out rewards for points. A provider's name starts with the plugin's."""

    @hookspec
    def code_sources(self) -> Sequence[CodeSource]:  # type: ignore[empty-body]
        """Who sets codes aside for what is printed. A source's name starts with the plugin's."""

    @hookspec
    def message_variables(self) -> Sequence[VariableSource]:  # type: ignore[empty-body]
        """Variables that messages may name. A source's name starts with the plugin's."""

    @hookspec
    def connectors(self) -> Sequence[Connector]:  # type: ignore[empty-body]
        """Platforms whose shops flow in. A connector's name is its plugin's, or starts with it."""

    @hookspec
    def web_routes(self) -> Sequence[WebRoute]:  # type: ignore[empty-body]
        """Addresses that the plugin answers at, one for each merchant."""

    @hookspec
    def ticks(self) -> Sequence[Tick]:  # type: ignore[empty-body]
        """Work to do every so often, for merchants who enabled the plugin."""

    @hookspec
    def commands(self) -> Sequence[click.Command]:  # type: ignore[empty-body]
        """Commands of `huike`, usually one group named after the plugin."""
