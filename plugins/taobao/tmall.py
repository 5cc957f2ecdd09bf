"""Whether a shop is one of Tmall, which is told when it is connected."""

from core.sdk import Token

TYPE = "shop_type"
TMALL = "B"


def is_tmall(token: Token) -> bool:
    """Whether the token is a Tmall shop's."""
    return token.more.get(TYPE) == TMALL
