"""What a merchant fills in for WooCommerce: what his stores' webhooks are signed with."""

from pydantic import BaseModel, Field, SecretStr


class WooCommerceSettings(BaseModel, extra="forbid"):
    """One secret for the webhooks of all stores. Without it none is believed."""

    webhook_secret: SecretStr | None = Field(default=None, min_length=16)
