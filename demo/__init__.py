"""The demo: a shop's life in a minute, on the real parts. Not part of the package."""
