"""What a merge must remember so that it can be undone exactly."""

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.data import JSON_DUMPS
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("core", "0006_privacy")]

    operations = [
        ops.AddField(
            model_name="CustomerMerge",
            name="marks",
            field=fields.JSONField(null=True, encoder=JSON_DUMPS, decoder=loads),
        ),
    ]
