"""The coupon plugin's business card."""

from collections.abc import Sequence
from datetime import timedelta

from core.sdk import (
    Action,
    CodeSource,
    Facet,
    HuikeError,
    Manifest,
    NodeType,
    Permission,
    PersonalTable,
    PlatformDeedSettled,
    Recipe,
    RewardProvider,
    SchemaField,
    Subscriber,
    Tick,
    TimelineSource,
    VariableSource,
    hookimpl,
)
from plugins.coupons import jobs, platform
from plugins.coupons.errors import CouponGuessing, CouponsExhausted, CouponUnusable
from plugins.coupons.events import PlatformCouponsDue
from plugins.coupons.facets import Redeemed, Unused
from plugins.coupons.granting import CouponReward, Grant
from plugins.coupons.personal import PERSONAL_TABLES, TIMELINE
from plugins.coupons.printing import CouponCodes
from plugins.coupons.recipes import RECIPES
from plugins.coupons.schema import FIELDS, NODE_TYPES
from plugins.coupons.settings import CouponSettings
from plugins.coupons.variables import CouponVariables


class CouponPlugin:
    manifest = Manifest(
        name="coupons",
        title="Coupons",
        version="0.1.0",
        core=">=0.1,<0.2",
        settings=CouponSettings,
        permissions=(
            Permission(
                "COUPONS_READ", "See coupon templates, coupons and what they brought.",
                ("manager", "marketer", "analyst", "service_agent", "finance"),
            ),
            Permission(
                "COUPONS_WRITE", "Make coupon templates and codes, grant and revoke coupons.",
                ("manager", "marketer"),
            ),
            Permission(
                "COUPONS_REDEEM", "Quote, claim, reserve, redeem and release coupons: for a till.",
                ("manager", "service_agent"),
            ),
        ),
        models="plugins.coupons.models",
    )  # fmt: skip

    @hookimpl
    def schema_fields(self) -> Sequence[SchemaField]:
        return FIELDS

    @hookimpl
    def node_types(self) -> Sequence[NodeType]:
        return NODE_TYPES

    @hookimpl
    def error_codes(self) -> Sequence[type[HuikeError]]:
        return [CouponGuessing, CouponsExhausted, CouponUnusable]

    @hookimpl
    def personal_tables(self) -> Sequence[PersonalTable]:
        return PERSONAL_TABLES

    @hookimpl
    def timeline_sources(self) -> Sequence[TimelineSource]:
        return [TIMELINE]

    @hookimpl
    def actions(self) -> Sequence[Action]:
        return [Grant()]

    @hookimpl
    def facets(self) -> Sequence[Facet]:
        return [Redeemed(), Unused()]

    @hookimpl
    def message_variables(self) -> Sequence[VariableSource]:
        return [CouponVariables()]

    @hookimpl
    def reward_providers(self) -> Sequence[RewardProvider]:
        return [CouponReward()]

    @hookimpl
    def code_sources(self) -> Sequence[CodeSource]:
        return [CouponCodes()]

    @hookimpl
    def campaign_recipes(self) -> Sequence[Recipe]:
        return RECIPES

    @hookimpl
    def subscribers(self) -> Sequence[Subscriber]:
        due = frozenset({PlatformCouponsDue.type})
        settled = frozenset({PlatformDeedSettled.type})
        return [
            Subscriber("coupons.platform", due, platform.give),
            Subscriber("coupons.settled", settled, platform.give_again),
        ]

    @hookimpl
    def ticks(self) -> Sequence[Tick]:
        return [
            Tick("coupons.tidy", timedelta(minutes=5), jobs.tidy),
            Tick("coupons.remind", timedelta(hours=1), jobs.remind),
        ]


plugin = CouponPlugin()
