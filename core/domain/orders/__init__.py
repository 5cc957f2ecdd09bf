"""Orders, lines and parcels: the purchase history and how it is taken in."""
