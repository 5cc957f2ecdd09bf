"""Tables of the membership programme: members, tiers, points, rewards.

Points are whole numbers. Amounts are minor units of the programme's currency.
"""

from typing import Any

from tortoise import fields
from tortoise.models import Model

from core.storage.models import Bytes, Id


class Programme(Model):
    """A merchant's programme over all its shops; there is one. `rules` is rules.py's as JSON.

    `reviewed` is the last version by which every member was looked at; reminders were told last
    for the day `reminded_on`.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    currency = fields.CharField(max_length=3)
    rules: Any = fields.JSONField()
    version = fields.IntField(default=1, db_default=1)
    reviewed = fields.IntField(default=0, db_default=0)
    reminded_on = fields.DateField(null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "programmes"


class ProgrammeVersion(Model):
    """The rules as they were from `valid_from` until the next version.

    What was earned or owed then stays what it was, whatever the rules become.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    version = fields.IntField()
    rules: Any = fields.JSONField()
    valid_from = fields.DatetimeField()

    class Meta:
        table = "programme_versions"


class Membership(Model):
    """A customer in the programme from `joined_at` until `left_at`; who comes back has another.

    `merged`: nobody left, but the customer became one with another member; see PersonalTable.
    Orders earn points if they were paid from `earns_from` on, for an import brought what those
    before had earned; NULL: from the joining on.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    card_number = fields.TextField(null=True)
    joined_at = fields.DatetimeField()
    join_source = fields.TextField()
    join_shop_id = fields.BigIntField(null=True)
    left_at = fields.DatetimeField(null=True)
    leave_source = fields.TextField(null=True)
    merged = fields.BooleanField(default=False, db_default=False)
    earns_from = fields.DatetimeField(null=True)

    class Meta:
        table = "memberships"


class PlatformMember(Model):
    """What a platform tells of a buyer as a member of a shop there.

    `grade` is the platform's own; `trade_count` and `trade_amount` (minor units of the shop's
    currency) are the platform's sums over his whole time. The buyer is known by the keyed index of
    his id, which outlives his data.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField()
    buyer_index = Bytes()
    buyer_id = fields.TextField(null=True)
    customer_id = fields.BigIntField(null=True)
    member = fields.BooleanField(null=True)
    grade = fields.SmallIntField(null=True)
    grade_name = fields.TextField(null=True)
    points = fields.BigIntField(null=True)
    joined_at = fields.DatetimeField(null=True)
    left_at = fields.DatetimeField(null=True)
    join_source = fields.TextField(null=True)
    blacklisted = fields.BooleanField(null=True)
    trade_count = fields.IntField(null=True)
    trade_amount = fields.BigIntField(null=True)
    last_trade_at = fields.DatetimeField(null=True)
    modified_at = fields.DatetimeField(null=True)
    content_hash = Bytes()
    taken_at = fields.DatetimeField()
    erased_at = fields.DatetimeField(null=True)

    class Meta:
        table = "platform_members"


class PlatformMembership(Model):
    """A buyer's time as a member on a platform; still one while `left_at` is NULL."""

    id = Id()
    merchant_id = fields.BigIntField()
    platform_member_id = fields.BigIntField()
    joined_at = fields.DatetimeField()
    left_at = fields.DatetimeField(null=True)

    class Meta:
        table = "platform_memberships"


class Tier(Model):
    """A tier; of two, the one with the higher rank is better.

    A member rises to it at `threshold` of what the programme measures, and keeps it at the end of
    a period with `keep_threshold`. A tier without threshold is given by hand only. One that was
    deleted stays, with its rank, for the figures of the time when there were members in it.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    rank = fields.SmallIntField()
    threshold = fields.BigIntField(null=True)
    keep_threshold = fields.BigIntField(null=True)
    benefits: Any = fields.JSONField()
    version = fields.IntField(default=1, db_default=1)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    deleted_at = fields.DatetimeField(null=True)

    class Meta:
        table = "tiers"


class TierInterval(Model):
    """A customer in a tier from `valid_from` until `valid_to`.

    `review_at` is the end of the period for which the tier is kept whatever happens; a tier given
    by hand is kept until then too, or for good when it is NULL. `threshold` is what had to be
    reached, if the tier was reached. `merged`: it ended because the customer became one with
    another, in a better tier.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    tier_id = fields.BigIntField()
    valid_from = fields.DatetimeField()
    valid_to = fields.DatetimeField(null=True)
    review_at = fields.DatetimeField(null=True)
    threshold = fields.BigIntField(null=True)
    manual = fields.BooleanField(default=False, db_default=False)
    merged = fields.BooleanField(default=False, db_default=False)
    cause = fields.TextField()

    class Meta:
        table = "tier_intervals"


class PointsEntry(Model):
    """An entry of the points ledger; entries are only ever added.

    A positive entry with `lot` set is a lot of points of its own, which can be used from
    `available_at` until `expires_at`. Every other entry takes from lots, or gives back to them:
    see PointsUse. `reverses` is the entry that this one takes back, in whole or in part. `settled`
    spares adding up again what nothing is left of: a lot used up, an entry covered by lots.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    kind = fields.TextField()
    points = fields.BigIntField()
    lot = fields.BooleanField()
    at = fields.DatetimeField()
    available_at = fields.DatetimeField(null=True)
    expires_at = fields.DatetimeField(null=True)
    order_id = fields.BigIntField(null=True)
    reverses = fields.BigIntField(null=True)
    rule = fields.TextField(null=True)
    reason = fields.TextField(null=True)
    actor = fields.TextField()
    settled = fields.BooleanField(default=False, db_default=False)

    class Meta:
        table = "points_entries"


class PointsUse(Model):
    """So many points of a lot that an entry took (or, negative, gave back)."""

    id = Id()
    merchant_id = fields.BigIntField()
    entry_id = fields.BigIntField()
    lot_id = fields.BigIntField()
    points = fields.BigIntField()
    at = fields.DatetimeField()

    class Meta:
        table = "points_uses"


class PointsHold(Model):
    """Points set aside by the entry of kind "hold", until `expires_at` unless settled before."""

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    entry_id = fields.BigIntField()
    state = fields.TextField(default="held", db_default="held")
    expires_at = fields.DatetimeField()
    settled_at = fields.DatetimeField(null=True)

    class Meta:
        table = "points_holds"


class PointsRequest(Model):
    """An adjustment by hand beyond the programme's limit, which two people decide on.

    It is "requested" by `actor` until somebody else, `decided_by`, has it "approved" or "rejected".
    `entry_id` is the entry that it became.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    points = fields.BigIntField()
    reason = fields.TextField(null=True)
    actor = fields.TextField()
    requested_at = fields.DatetimeField()
    state = fields.TextField(default="requested", db_default="requested")
    decided_by = fields.TextField(null=True)
    decided_at = fields.DatetimeField(null=True)
    note = fields.TextField(null=True)
    entry_id = fields.BigIntField(null=True)

    class Meta:
        table = "points_requests"


class MemberReminder(Model):
    """That a member was told of something to come, `kind`; each `occasion` is told once."""

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    kind = fields.TextField()
    occasion = fields.TextField()
    at = fields.DatetimeField()

    class Meta:
        table = "member_reminders"


class Reward(Model):
    """What members can have for points, from `valid_from` until `valid_until`.

    `stock` is how many are left, `per_customer` how many one customer can have; NULL is no limit.
    `tier_ids` are the tiers that it is for; NULL is every member. `provider` hands it out, by its
    `settings`; see core.sdk.rewards.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    provider = fields.TextField()
    settings: Any = fields.JSONField()
    cost = fields.BigIntField()
    stock = fields.BigIntField(null=True)
    per_customer = fields.IntField(null=True)
    tier_ids: Any = fields.JSONField(null=True)
    valid_from = fields.DatetimeField(null=True)
    valid_until = fields.DatetimeField(null=True)
    version = fields.IntField(default=1, db_default=1)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "rewards"


class Redemption(Model):
    """A reward that a customer paid for with the points of `entry_id`, or was given without.

    It is "requested" until its provider, or somebody by hand, has "fulfilled" it; "cancelled" ones
    gave the points back. `given` is what the customer got, such as a coupon's code. From
    `handing_at` on its provider is asked, until his answer is known.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    reward_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    entry_id = fields.BigIntField(null=True)
    points = fields.BigIntField()
    state = fields.TextField(default="requested", db_default="requested")
    given = fields.TextField(null=True)
    reason = fields.TextField(null=True)
    actor = fields.TextField()
    requested_at = fields.DatetimeField()
    settled_at = fields.DatetimeField(null=True)
    handing_at = fields.DatetimeField(null=True)

    class Meta:
        table = "redemptions"


class ReferralCode(Model):
    """The code by which a customer refers others; see referral_codes.py."""

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    code = fields.TextField(null=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "referral_codes"


class Referral(Model):
    """That a customer came by somebody's code.

    It is "waiting" until the first purchase, of `order_id`, is kept (from `due_at` on), then
    "granted", or "refused" for `reason`; it is "undone" when the purchase was refunded later. The
    entries and redemptions are what both sides got.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    code_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    state = fields.TextField(default="waiting", db_default="waiting")
    reason = fields.TextField(null=True)
    note = fields.TextField(null=True)
    actor = fields.TextField()
    entered_at = fields.DatetimeField()
    order_id = fields.BigIntField(null=True)
    due_at = fields.DatetimeField(null=True)
    settled_at = fields.DatetimeField(null=True)
    referrer_entry_id = fields.BigIntField(null=True)
    customer_entry_id = fields.BigIntField(null=True)
    referrer_redemption_id = fields.BigIntField(null=True)
    customer_redemption_id = fields.BigIntField(null=True)

    class Meta:
        table = "referrals"


class MemberImport(Model):
    """What an import's file says of a customer, to be compared with what is stored.

    `points` are those that had not expired when the file was taken in.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    job_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    tier_id = fields.BigIntField(null=True)
    points = fields.BigIntField()

    class Meta:
        table = "member_imports"
