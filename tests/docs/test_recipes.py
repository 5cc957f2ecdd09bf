"""The guide on recipes lists them as they are; run this file to write its table anew."""

from pathlib import Path

from core.builtin import CorePlugin
from core.registry import load

GUIDE = Path(__file__).parents[2] / "docs/guides/recipes.md"
BEGIN, END = "<!-- recipes -->\n", "<!-- end -->"
GROUPS = {
    "orders": "Orders and parcels", "after_sales": "After the sale", "dates": "The calendar",
    "lifecycle": "The customer's lifecycle", "events": "News and events",
}  # fmt: skip


def default_of(name, field):
    if field.is_required():
        return f"`{name}` (required)"
    value = field.default
    if value in (None, "", []):
        return f"`{name}`"
    return f"`{name}` ({value.isoformat('minutes') if hasattr(value, 'hour') else value})"


def table():
    recipes = [owned.value for owned in load(CorePlugin(), found=[]).campaign_recipes.values()]
    lines = []
    for group, title in GROUPS.items():
        lines += [f"\n## {title}\n", "| recipe | what it does | parameters | once for each |",
                  "| --- | --- | --- | --- |"]  # fmt: skip
        for recipe in recipes:
            if recipe.group == group:
                fields = [
                    default_of(name, field)
                    for name, field in recipe.parameters.model_fields.items() if name != "channel"
                ]  # fmt: skip
                apart = ", ".join(f"`{name}`" for name in recipe.apart)
                lines.append(
                    f"| `{recipe.name}`<br>{recipe.title.en}, {recipe.title.zh} "
                    f"| {recipe.description.en} | {', '.join(fields)} | {apart} |"
                )
    return "\n".join(lines).lstrip("\n") + "\n"


def test_the_guide_lists_every_recipe_as_it_is():
    text = GUIDE.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == table()


if __name__ == "__main__":
    before, _, rest = GUIDE.read_text(encoding="utf-8").partition(BEGIN)
    GUIDE.write_text(before + BEGIN + table() + END + rest.partition(END)[2], encoding="utf-8")
