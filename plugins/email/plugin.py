"""The email plugin's business card."""

from core.sdk import Manifest


class EmailPlugin:
    manifest = Manifest(name="email", title="Email (SMTP)", version="0.1.0", core=">=0.1,<0.2")


plugin = EmailPlugin()
