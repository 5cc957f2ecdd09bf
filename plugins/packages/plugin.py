"""The business card of the plugin for personalised parcel inserts."""

from collections.abc import Sequence

from core.sdk import (
    Facet,
    Manifest,
    NodeType,
    Permission,
    PersonalTable,
    SchemaField,
    Subscriber,
    Tick,
    TimelineSource,
    hookimpl,
)
from plugins.packages.changes import LATE
from plugins.packages.facets import GotInsert
from plugins.packages.personal import PERSONAL_TABLES, TIMELINE
from plugins.packages.remarks import MISSING, REMARKS
from plugins.packages.schema import FIELDS, NODE_TYPES
from plugins.packages.settings import PackagesSettings


class PackagesPlugin:
    manifest = Manifest(
        name="packages",
        title="Parcel inserts",
        version="0.1.0",
        core=">=0.1,<0.2",
        settings=PackagesSettings,
        permissions=(
            Permission("PACKAGES_READ", "See inserts, their rules, dry runs and results.",
                       roles=("manager", "marketer", "analyst", "service_agent", "warehouse")),
            Permission("PACKAGES_WRITE", "Change inserts and their rules.",
                       roles=("manager", "marketer")),
            Permission("PACKAGES_PACK", "Make waves, print them, confirm parcels, count stock.",
                       roles=("manager", "warehouse")),
        ),
        models="plugins.packages.models",
    )  # fmt: skip

    @hookimpl
    def facets(self) -> Sequence[Facet]:
        return [GotInsert()]

    @hookimpl
    def schema_fields(self) -> Sequence[SchemaField]:
        return FIELDS

    @hookimpl
    def node_types(self) -> Sequence[NodeType]:
        return NODE_TYPES

    @hookimpl
    def subscribers(self) -> Sequence[Subscriber]:
        return [LATE, REMARKS]

    @hookimpl
    def ticks(self) -> Sequence[Tick]:
        return [MISSING]

    @hookimpl
    def personal_tables(self) -> Sequence[PersonalTable]:
        return PERSONAL_TABLES

    @hookimpl
    def timeline_sources(self) -> Sequence[TimelineSource]:
        return TIMELINE


plugin = PackagesPlugin()
