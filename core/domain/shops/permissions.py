"""The rights that a token can have. Nothing is allowed that is not given."""

from collections.abc import Iterable

from core.registry import Registry
from core.sdk.errors import InvalidInput
from core.sdk.plugin import Permission

CORE_PERMISSIONS = (
    Permission("SHOPS_READ", "See the merchant, its shops and its plugins."),
    Permission("SHOPS_WRITE", "Add and change shops."),
    Permission("SHOPS_CONNECT", "Connect shops to their platforms, pause and disconnect them."),
    Permission("PLUGINS_WRITE", "Switch plugins on and off and change their settings."),
    Permission("TOKENS_WRITE", "See, make and revoke API tokens."),
    Permission("STAFF_READ", "See who works here, and the roles."),
    Permission("STAFF_WRITE", "Invite staff, give them roles, reset and disable them."),
    Permission("ROLES_WRITE", "Make and change roles."),
    Permission("STAFF_OIDC_WRITE", "Decide which identity provider staff log in by."),
    Permission("STAFF_SECURITY_WRITE", "Decide whether staff need a second factor."),
    Permission("CUSTOMERS_READ", "See customers, their names and contact data masked."),
    Permission("CUSTOMERS_WRITE", "Change customers, their tags and their consent."),
    Permission("CUSTOMERS_IMPORT", "Take in files of customers and suppressions, and undo them."),
    Permission("CUSTOMERS_DATA_EXPORT", "Export all that is stored about one customer."),
    Permission("CUSTOMERS_ERASE", "Erase all that is stored about one customer."),
    Permission("PII_NAME", "See and search people's names unmasked."),
    Permission("PII_PHONE", "See and search phone numbers unmasked."),
    Permission("PII_EMAIL", "See and search email addresses unmasked."),
    Permission("PII_ADDRESS", "See postal addresses unmasked."),
    Permission("CONSENT_EVIDENCE", "See how a consent can be proven, internet addresses included."),
    Permission("CONSENT_POLICY_WRITE", "Decide whether unproven consent is enough for marketing."),
    Permission("SUPPRESSIONS_REMOVE", "Take addresses off the list of suppressions."),
    Permission("CUSTOMERS_MERGE", "Merge customers, undo it, and change their platform ids."),
    Permission("TASKS_READ", "See what staff is to do about customers."),
    Permission("TASKS_WRITE", "Make, change and finish tasks."),
    Permission("FIELDS_WRITE", "Define and delete custom fields; rename and delete tags."),
    Permission("ORDERS_READ", "See orders."),
    Permission("ORDERS_WRITE", "Take in orders."),
    Permission("SEGMENTS_READ", "See and preview segments."),
    Permission("SEGMENTS_WRITE", "Make and change segments."),
    Permission("CAMPAIGNS_READ", "See campaigns, their deliveries and their figures."),
    Permission("CAMPAIGNS_WRITE", "Write campaigns."),
    Permission("CAMPAIGNS_SEND", "Schedule, start, pause and cancel campaigns."),
    Permission("CAMPAIGNS_APPROVAL_WRITE", "Decide whether campaigns need somebody's approval."),
    Permission("MEMBERS_READ", "See the programme, members, tiers and points."),
    Permission("MEMBERS_WRITE", "Change the programme and its tiers, and let members in and out."),
    Permission("POINTS_WRITE", "Give, take, hold and transfer points."),
    Permission("POINTS_APPROVE", "Agree to what others adjust beyond the programme's limit."),
    Permission("SENDING_POLICY_WRITE", "Set frequency caps, sending hours, holidays and rates."),
    Permission("REPLIES_READ", "Read what people write back."),
    Permission("WEBHOOKS_READ", "See webhooks and what was delivered to them."),
    Permission("WEBHOOKS_WRITE", "Make, change, pause and test webhooks, and see new secrets."),
    Permission("JOBS_READ", "See long work, and cancel what one began oneself."),
    Permission("JOBS_CANCEL", "Cancel long work that others began."),
    Permission("AUDIT_READ", "See and verify the audit log."),
    Permission("RETENTION_WRITE", "Set for how long data is kept."),
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
        raise InvalidInput("give at least one permission", ("input", "permissions"))
    return wanted
