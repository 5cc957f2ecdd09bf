"""What delivery services push: signatures, and what their events mean."""
