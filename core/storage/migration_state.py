"""What the ORM knows of the tables between migrations, made only as far as a step asks.

Tortoise builds the classes of all models anew before each operation, and their queries after it:
half a second a step with a hundred tables, of which hardly any step looks at one.
"""

from dataclasses import replace
from functools import cached_property

from tortoise.connection import ConnectionHandler
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.graph import MigrationKey
from tortoise.migrations.schema_generator.state import ModelState, State
from tortoise.migrations.schema_generator.state_apps import StateApps
from tortoise.models import Model

Models = dict[tuple[str, str], ModelState]


class LazyApps(StateApps):
    """Builds the query of a model once, not of all models whenever one changes."""

    def __init__(
        self,
        default_connections: dict[str, str] | None = None,
        connections: ConnectionHandler | None = None,
    ) -> None:
        super().__init__(default_connections, connections)
        self._unbuilt: list[tuple[str, type[Model]]] = []

    def register_model(self, app_label: str, model: type[Model]) -> None:
        super().register_model(app_label, model)
        self._unbuilt.append((app_label, model))

    def _build_initial_querysets(self) -> None:
        everything = self.apps
        self.apps = {}
        for app_label, model in self._unbuilt:
            self.apps.setdefault(app_label, {})[model.__name__] = model
        try:
            super()._build_initial_querysets()
        finally:
            self.apps = everything
        self._unbuilt = [
            (label, model) for label, model in self._unbuilt if not model._meta._inited
        ]


class LazyState(State):
    """A state whose copy makes its models when they are first looked at."""

    def clone(self) -> State:
        # operations replace fields and options, they never change one in place
        models = {
            key: replace(one, options=dict(one.options), fields=dict(one.fields))
            for key, one in self.models.items()
        }
        return _Copy(models, self.apps._default_connections)


class _Copy(LazyState):
    def __init__(self, models: Models, default_connections: dict[str, str]) -> None:
        self.models = models
        self._default_connections = default_connections

    @cached_property
    def apps(self) -> StateApps:  # type: ignore[override]
        # a class takes the fields that it is made of
        models = {key: one.clone() for key, one in self.models.items()}
        return LazyApps(self._default_connections).clone(models)


class Executor(MigrationExecutor):
    """Tortoise's own, on such states."""

    async def _project_state(
        self, applied: set[MigrationKey], *, upto: MigrationKey | None = None
    ) -> State:
        connections = {
            label: config.get("default_connection", "default")
            for label, config in self.loader.apps_config.items()
        }
        state = LazyState(models={}, apps=LazyApps(connections))
        for key in self._full_plan():
            if key == upto:
                break
            if key in applied:
                migration = self.loader.graph.nodes[key]
                assert migration is not None
                await migration.apply(state, dry_run=True)
        return state
