"""The rights that a token can have. Nothing is allowed that is not given."""

from collections.abc import Iterable

from core.registry import Registry
from core.sdk.errors import InvalidInput
from core.sdk.plugin import Permission

CORE_PERMISSIONS = (
    Permission("SHOPS_READ", "See the merchant, its shops and its plugins."),
    Permission("SHOPS_WRITE", "Add and change shops."),
    Permission("PLUGINS_WRITE", "Switch plugins on and off and change their settings."),
    Permission("TOKENS_WRITE", "See, make and revoke API tokens."),
    Permission("CUSTOMERS_READ", "See customers, their contact data masked."),
    Permission("CUSTOMERS_WRITE", "Change customers, their tags and their consent."),
    Permission("CUSTOMERS_CONTACT", "See customers' phone, email and address unmasked."),
    Permission("FIELDS_WRITE", "Define, change and delete custom fields."),
    Permission("ORDERS_READ", "See orders."),
    Permission("ORDERS_WRITE", "Take in orders."),
    Permission("SEGMENTS_READ", "See and preview segments."),
    Permission("SEGMENTS_WRITE", "Make and change segments."),
    Permission("CAMPAIGNS_READ", "See campaigns, their deliveries and their figures."),
    Permission("CAMPAIGNS_WRITE", "Write campaigns."),
    Permission("CAMPAIGNS_SEND", "Schedule, start, pause and cancel campaigns."),
    Permission("JOBS_READ", "See and cancel long work."),
)


def all_permissions(registry: Registry) -> dict[str, Permission]:
    """Core's permissions and those of the plugins, by name."""
    found = {permission.name: permission for permission in CORE_PERMISSIONS}
    for manifest in registry.manifests.values():
        found.update({permission.name: permission for permission in manifest.permissions})
    return found


def check_permissions(registry: Registry, names: Iterable[str]) -> list[str]:
    """The names, sorted and without repetition. Raises InvalidInput for one that does not exist."""
    known = all_permissions(registry)
    wanted = sorted(set(names))
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InvalidInput(
            f"there is no permission {', '.join(unknown)}; there are {', '.join(sorted(known))}",
            ("input", "permissions"),
        )
    if not wanted:
        raise InvalidInput("a token needs at least one permission", ("input", "permissions"))
    return wanted
