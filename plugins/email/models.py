"""Tables of the plugin: how fast and how much a provider is given, and how far mail was read."""

from tortoise import fields
from tortoise.models import Model


class EmailPace(Model):
    """When the next message may go by a provider to the mailboxes of a group of domains."""

    id = fields.BigIntField(primary_key=True)
    merchant_id = fields.BigIntField()
    provider = fields.TextField()
    domains = fields.TextField()
    next_at = fields.DatetimeField()

    class Meta:
        table = "email_paces"


class EmailDay(Model):
    """How many messages of a day's allowance a provider that is warmed up was given."""

    id = fields.BigIntField(primary_key=True)
    merchant_id = fields.BigIntField()
    provider = fields.TextField()
    day = fields.DateField()
    messages = fields.BigIntField()

    class Meta:
        table = "email_days"


class EmailMailbox(Model):
    """How far a merchant's mailbox was read: the folder's generation and the last number in it."""

    id = fields.BigIntField(primary_key=True)
    merchant_id = fields.BigIntField()
    place = fields.TextField()
    generation = fields.BigIntField()
    read_to = fields.BigIntField()

    class Meta:
        table = "email_mailboxes"
