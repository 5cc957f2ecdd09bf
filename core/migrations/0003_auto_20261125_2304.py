from tortoise import migrations
from tortoise.migrations import operations as ops

class Migration(migrations.Migration):
    dependencies = [('core', '0002_keys')]

    initial = False

    operations = [
        ops.AlterModelOptions(
            name='SendingRate',
            options={'table': 'sending_rates', 'app': 'core', 'pk_attr': 'id', 'table_description': 'At most `messages` by a channel in any `seconds` seconds, and the bucket of tokens that'},
        ),
    ]
