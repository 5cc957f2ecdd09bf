"""Steps of migrations that the ORM lacks."""

from collections.abc import Sequence

from tortoise.migrations.operations import CreateModel, TortoiseOperation
from tortoise.migrations.schema_editor.base import BaseSchemaEditor
from tortoise.migrations.schema_generator.state import ModelState, State


class CreateModels(TortoiseOperation):
    """Many tables in one step: at each step the ORM builds the classes of all models anew."""

    def __init__(self, models: Sequence[CreateModel]) -> None:
        self.models = models

    def state_forward(self, app_label: str, state: State) -> None:
        made = {(app_label, one.name): one.model for one in self.models}
        for key, model in made.items():
            state.models[key] = ModelState.make_from_model(app_label, model)
        state.reload_models(made)

    async def database_forward(
        self,
        app_label: str,
        old_state: State,
        new_state: State,
        state_editor: BaseSchemaEditor | None = None,
    ) -> None:
        for one in self.models:
            await one.database_forward(app_label, old_state, new_state, state_editor)
