"""The providers. Each talks to one vendor; `protocol` says what they have in common."""
