"""What core's tables of members hold about a person; see core.sdk.personal."""

from core.sdk.personal import PersonalTable

PERSONAL_TABLES = [
    # figures of the past stay; who was a member as both customers is one once after a merge,
    # in the tier of the kept one
    PersonalTable("memberships", "memberships", "Memberships", unique_while="left_at",
                  erase="blank", blank=("card_number",)),
    PersonalTable("tier_intervals", "tier_intervals", "Tiers", unique_while="valid_to",
                  erase="keep"),
    PersonalTable("points_entries", "points_entries", "Points", erase="blank", blank=("reason",)),
    PersonalTable("points_holds", "points_holds", "Points set aside", erase="keep"),
]  # fmt: skip
