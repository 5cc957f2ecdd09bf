"""Pieces that the recipes' texts share."""

from core.sdk.recipes import Parameters, parameter

NAME = '{{ customer.name | default: "there" }}'
NAME_ZH = '{{ customer.name | default: "亲" }}'
SHOP = "{{ shop.name }}"


class Offer(Parameters):
    """Parameters of marketing: what there is to gain, and where."""

    offer: str = parameter("", "Offer, as the text says it", "优惠内容", max_length=200)
    link: str = parameter("", "Link", "链接", max_length=500)

    def either(self, with_offer: str, without: str) -> str:
        """Words for a message with an offer, and for one that must promise nothing."""
        return with_offer if self.offer.strip() else without

    def lines(self) -> list[str]:
        """The offer and the link, each a line if it is given."""
        return [line for line in (self.offer.strip(), apart(self.link)) if line]


def apart(link: str) -> str:
    """A link with spaces about it, else phones take the Chinese words around as a part of it."""
    return f" {link.strip()} " if link.strip() else ""


def text(*lines: str) -> str:
    """Lines of a message, without the empty ones."""
    return "\n".join(line for line in lines if line)
