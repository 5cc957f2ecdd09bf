"""What core's tables of members hold about a person; see core.sdk.personal."""

from core.sdk.personal import PersonalTable

PERSONAL_TABLES = [
    # who was a member as both customers is one once after a merge, in the tier of the kept one
    PersonalTable("memberships", "memberships", "Memberships", unique=(), unique_while="left_at"),
    PersonalTable("tier_intervals", "tier_intervals", "Tiers", unique=(), unique_while="valid_to"),
    PersonalTable("points_entries", "points_entries", "Points", erase="keep"),
    PersonalTable("points_holds", "points_holds", "Points set aside", erase="keep"),
]  # fmt: skip
