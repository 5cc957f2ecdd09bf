"""Recipes: what there is, what they will send, and switching one on."""

from typing import Any

import strawberry

from core.domain.campaigns.recipes.switching import (
    campaigns_of,
    flow_of,
    read_parameters,
    switch_on,
)
from core.schema.campaign_parts import ContentPart, MessageClass, parts
from core.schema.campaigns import Campaign, campaigns_by_id
from core.schema.context import Info, field, mutation
from core.schema.errors import UserError
from core.schema.idempotency import once
from core.schema.scalars import JSON, sought
from core.schema.segment_words import Language
from core.sdk.errors import InvalidInput
from core.sdk.recipes import Recipe


@strawberry.type(description="What a merchant may set of a recipe.")
class CampaignRecipeParameter:
    name: str
    title: str
    required: bool
    default: JSON | None
    schema: JSON = strawberry.field(description="What values it takes, as JSON Schema.")


@strawberry.type(description="A message that a recipe will send.")
class CampaignRecipeMessage:
    campaign: str = strawberry.field(description="The name of the campaign that sends it.")
    step: str
    message_class: MessageClass
    content: list[ContentPart]


@strawberry.type(description="A ready-made campaign, to be switched on with a few parameters.")
class CampaignRecipe:
    recipe: strawberry.Private[Recipe]
    language: strawberry.Private[Language]
    name: str
    title: str
    description: str
    group: str = strawberry.field(
        description='"orders", "after_sales", "dates", "lifecycle" or "events".'
    )
    parameters: list[CampaignRecipeParameter]

    @field(
        "CAMPAIGNS_READ",
        description="What it sends with these parameters, or those that are there by default.",
    )
    async def messages(
        self, info: Info, channel: str = "email", parameters: JSON | None = None
    ) -> list[CampaignRecipeMessage]:
        given = {**self.recipe.example, "channel": channel, **_object(parameters)}
        made = campaigns_of(
            info.context.installation.registry,
            self.recipe,
            read_parameters(self.recipe, given),
            self.language.value,
        )
        return [
            CampaignRecipeMessage(
                campaign=one.name,
                step=send.key,
                message_class=MessageClass(send.message_class),
                content=parts(send.variants[0].content),
            )
            for one in made
            for send in flow_of(one, [0] * len(one.segments)).sends().values()
        ]


def _object(given: Any) -> dict[str, Any]:
    if given is not None and not isinstance(given, dict):
        raise InvalidInput("parameters are an object", ("parameters",))
    return given or {}


def recipe_of(recipe: Recipe, language: Language) -> CampaignRecipe:
    zh = language is Language.ZH
    schema = recipe.parameters.model_json_schema()
    required = schema.get("required", [])
    return CampaignRecipe(
        recipe=recipe,
        language=language,
        name=recipe.name,
        title=recipe.title[zh],
        description=recipe.description[zh],
        group=recipe.group,
        parameters=[
            CampaignRecipeParameter(
                name=name,
                title=one["title_zh"] if zh else one["title"],
                required=name in required,
                default=JSON(one.get("default")),
                schema=JSON({
                    key: value for key, value in one.items()
                    if key not in ("title", "title_zh", "default")
                }),
            )
            for name, one in schema["properties"].items()
        ],
    )  # fmt: skip


@strawberry.input
class RecipeSwitchOnInput:
    recipe: str
    shop_id: strawberry.ID | None = strawberry.field(
        default=None, description="The shop in whose name it speaks; null: all shops."
    )
    language: Language = Language.ZH
    parameters: JSON | None = strawberry.field(
        default=None, description='An object by the names of the parameters: {"channel": "email"}.'
    )
    name: str | None = strawberry.field(
        default=None, description="Names the campaign instead of the recipe's own title."
    )
    start: bool = strawberry.field(
        default=False, description="Start at once, which needs CAMPAIGNS_SEND; else it is a draft."
    )
    idempotency_key: str = strawberry.field(
        description="Any text of yours; a repeated call with it does not switch on again."
    )


@strawberry.type
class RecipeSwitchOnPayload:
    campaigns: list[Campaign] | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignRecipeQueries:
    @field("CAMPAIGNS_READ", description="All recipes, core's and those of plugins.")
    async def campaign_recipes(
        self, info: Info, language: Language = Language.ZH
    ) -> list[CampaignRecipe]:
        found = info.context.installation.registry.campaign_recipes.values()
        return [recipe_of(owned.value, language) for owned in found]


@strawberry.type
class CampaignRecipeMutations:
    @mutation(
        "CAMPAIGNS_WRITE", RecipeSwitchOnPayload,
        description="Make a recipe's campaigns, and the segments that they need.",
    )  # fmt: skip
    async def recipe_switch_on(
        self, info: Info, input: RecipeSwitchOnInput
    ) -> RecipeSwitchOnPayload | None:
        if input.start:
            info.context.need("CAMPAIGNS_SEND")
        shop_id = sought("Shop", input.shop_id)
        parameters: Any = {} if input.parameters is None else input.parameters
        given = {
            "recipe": input.recipe, "shop": shop_id, "language": input.language.value,
            "parameters": parameters, "name": input.name, "start": input.start,
        }  # fmt: skip
        async with info.context.work() as w:

            async def switch() -> list[int]:
                return await switch_on(
                    w, info.context.installation.registry, input.recipe, parameters,
                    language=input.language.value, shop_id=shop_id, title=input.name,
                    start=input.start,
                )  # fmt: skip

            pks = await once(w, "recipeSwitchOn", input.idempotency_key, given, switch)
            found = await campaigns_by_id(w, pks)
            return RecipeSwitchOnPayload(campaigns=[found[pk] for pk in pks])
