"""What core's segment tables hold about a person; see core.sdk.personal."""

from core.sdk.personal import PersonalTable

PERSONAL_TABLES = [
    # a person who is in a segment as both customers is in it once after a merge
    PersonalTable("segment_members", "segment_members", "Segments", unique=("segment_id",),
                  unique_while="left_at"),
]  # fmt: skip
