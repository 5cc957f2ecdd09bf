"""A person's data as a whole: exported, erased, sealed anew, and kept for a time only."""
