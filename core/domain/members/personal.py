"""What core's tables of members hold about a person; see core.sdk.personal."""

from core.sdk.personal import PersonalTable

HIGHEST = """(SELECT t.rank FROM tiers t
    WHERE t.merchant_id = r.merchant_id AND t.id = r.tier_id) DESC NULLS LAST,
    r.review_at DESC NULLS FIRST, r.id"""
"""Which of two tiers is the higher one, or the same one kept for longer; by hand or not."""

PERSONAL_TABLES = [
    # figures of the past stay; who was a member as both customers is one once after a merge,
    # since the earlier of the two days, in the higher of the two tiers
    PersonalTable("memberships", "memberships", "Memberships", unique_while="left_at",
                  prefer="r.joined_at, r.id", aside="merged",
                  erase="blank", blank=("card_number",)),
    PersonalTable("tier_intervals", "tier_intervals", "Tiers", unique_while="valid_to",
                  prefer=HIGHEST, aside="merged", restored=("review_at",), erase="keep"),
    # the index of the buyer's id stays: what his platform tells of him later is nobody's
    PersonalTable("platform_members", "platform_members", "Memberships on platforms",
                  hidden=("buyer_index", "content_hash"), erase="blank",
                  blank=("customer_id", "buyer_id", "join_source"), stamp="erased_at"),
    PersonalTable("platform_memberships", "platform_memberships", "Times as a member on platforms",
                  parent=("platform_member_id", "platform_members"), erase="keep"),
    PersonalTable("points_entries", "points_entries", "Points", erase="blank", blank=("reason",)),
    PersonalTable("points_holds", "points_holds", "Points set aside", erase="keep"),
    PersonalTable("member_reminders", "member_reminders", "Reminders of points and tiers",
                  unique=("kind", "occasion")),
    PersonalTable("points_requests", "points_requests", "Adjustments of points that were asked for",
                  erase="blank", blank=("reason", "note")),
    PersonalTable("redemptions", "redemptions", "Redeemed rewards", erase="blank",
                  blank=("given", "reason")),
    PersonalTable("referral_codes", "referral_codes", "Codes to refer others with",
                  erase="blank", blank=("code",)),
    PersonalTable("referrals", "referrals", "Having come by somebody's code",
                  erase="blank", blank=("note",)),
    PersonalTable("member_imports", "member_imports", "Imports of members", unique=("job_id",)),
]  # fmt: skip
