"""Templates to begin with: readable in the dark, without pictures, and on narrow screens."""

from importlib.resources import files

LANGUAGES = ("zh", "en")


def default_template(language: str) -> str:
    """The MJML of the default template in one of LANGUAGES."""
    return files(__package__).joinpath(f"default.{language}.mjml").read_text("utf-8")
