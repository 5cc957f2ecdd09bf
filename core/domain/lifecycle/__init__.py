"""Where customers stand in their lifecycle, what they are worth, and when they buy again."""
