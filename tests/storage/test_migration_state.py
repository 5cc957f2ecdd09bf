"""Changed tables: each step sees the models as they were before it and after."""

from tortoise import fields
from tortoise.connection import get_connection
from tortoise.migrations import operations as ops
from tortoise.migrations.migration import Migration
from tortoise.migrations.schema_editor import AsyncpgSchemaEditor
from tortoise.transactions import in_transaction

from core.storage.migrate import orm, orm_config
from core.storage.migration_state import LazyApps, LazyState

STEPS = [
    ops.CreateModel(
        name="Shelf",
        fields=[
            ("id", fields.BigIntField(generated=True, primary_key=True)),
            ("label", fields.TextField()),
            ("wide", fields.IntField(null=True)),
        ],
        options={"table": "test_shelves", "app": "later", "pk_attr": "id"},
    ),
    ops.CreateModel(
        name="Box",
        fields=[
            ("id", fields.BigIntField(generated=True, primary_key=True)),
            ("shelf", fields.ForeignKeyField("later.Shelf", related_name="boxes")),
        ],
        options={"table": "test_boxes", "app": "later", "pk_attr": "id"},
    ),
    ops.AddField(model_name="Shelf", name="height", field=fields.IntField(null=True)),
    ops.RenameField(model_name="Shelf", old_name="label", new_name="name"),
    ops.RemoveField(model_name="Shelf", name="wide"),
    ops.DeleteModel(name="Box"),
]


async def test_tables_are_changed_step_by_step(installation):
    columns = """SELECT table_name, column_name FROM information_schema.columns
                 WHERE table_name LIKE 'test\\_%' ORDER BY ordinal_position"""
    state = LazyState(models={}, apps=LazyApps({"later": "default"}))
    config = orm_config(installation.database_url, {"core": ["core.storage.models"]}, 1)
    async with orm(config), in_transaction("default") as transaction:
        editor = AsyncpgSchemaEditor(get_connection("default"), atomic=False)
        migration = Migration("0001", "later")
        migration.operations = STEPS
        await migration.apply(state, schema_editor=editor)
        rows = await transaction.execute_query_dict(columns)
        await transaction.rollback()
    assert [tuple(row.values()) for row in rows] == [
        ("test_shelves", "id"), ("test_shelves", "name"), ("test_shelves", "height"),
    ]  # fmt: skip


def test_a_copy_stays_as_it_was():
    state = LazyState(models={}, apps=LazyApps({}))
    first, _, added, *_ = STEPS
    first.state_forward("later", state)
    before = state.clone()
    added.state_forward("later", state)
    assert "height" in state.apps.get_model("later.Shelf")._meta.fields_map
    assert "height" not in before.apps.get_model("later.Shelf")._meta.fields_map
