"""The email plugin's business card."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import click

from core.sdk import Channel, HealthCheck, Manifest, SettingsCheck, Tick, WebRoute, hookimpl
from plugins.email.bounces.mailbox import read_mailbox
from plugins.email.channel import EmailChannel, check_health, check_settings
from plugins.email.commands import email
from plugins.email.settings import EmailSettings
from plugins.email.webhooks.routes import routes

MAILBOX_EVERY = timedelta(minutes=1)


class EmailPlugin:
    manifest = Manifest(
        name="email",
        title="Email",
        version="0.2.0",
        core=">=0.1,<0.2",
        settings=EmailSettings,
        models="plugins.email.models",
        timeout=60.0,
    )
    channel = EmailChannel()

    @hookimpl
    def channels(self) -> Sequence[Channel]:
        return [self.channel]

    @hookimpl
    def settings_checks(self) -> Sequence[SettingsCheck]:
        return [SettingsCheck("email.connect", check_settings)]

    @hookimpl
    def health_checks(self) -> Sequence[HealthCheck]:
        return [HealthCheck("email.connect", check_health)]

    @hookimpl
    def web_routes(self) -> Sequence[WebRoute]:
        return routes(self.channel)

    @hookimpl
    def ticks(self) -> Sequence[Tick]:
        reading = partial(read_mailbox, channel=self.channel)
        return [Tick("email.mailbox", MAILBOX_EVERY, reading)]

    @hookimpl
    def commands(self) -> Sequence[click.Command]:
        return [email]


plugin = EmailPlugin()
