"""Insert cards for printing: A6, one for each parcel, in Chinese as well as in Latin letters.

The font goes into the file, with those of its characters that the cards have.
"""

from collections.abc import Sequence
from html import escape
from io import BytesIO

from reportlab.graphics.barcode.code128 import Code128
from reportlab.lib.pagesizes import A6
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import KeepInFrame, Paragraph

from plugins.packages.fonts import NAME, font, printable
from plugins.packages.packing import Card

WIDTH, HEIGHT = A6
MARGIN = 8 * mm
CODE_HEIGHT, LIST_HEIGHT = 12 * mm, 34 * mm
TEXT = ParagraphStyle("text", fontName=NAME, fontSize=13, leading=20, wordWrap="CJK")
SMALL = ParagraphStyle("small", fontName=NAME, fontSize=8, leading=11, wordWrap="CJK")
LATE = {"closed": "已关闭 CLOSED", "refund": "退款中 REFUND"}


def cards_pdf(title: str, cards: Sequence[Card]) -> bytes:
    """A page for each parcel: what its customer reads above, what its packer needs below."""
    font()
    out = BytesIO()
    canvas = Canvas(out, pagesize=A6, invariant=True)
    canvas.setTitle(title)
    for card in cards:
        _page(canvas, title, card)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def _page(canvas: Canvas, title: str, card: Card) -> None:
    parcel = card.parcel
    cut = MARGIN + CODE_HEIGHT + LIST_HEIGHT
    words = [text for _, text in card.items if text]
    coupons = [item.coupon_code for item, _ in card.items if item.coupon_code]
    unsaid = [code for code in coupons if not any(code in text for text in words)]
    spoken = [*words, *(f"优惠码 Code {code}" for code in unsaid)]
    _frame(canvas, spoken, TEXT, cut + 4 * mm, HEIGHT - MARGIN)
    canvas.setDash(2, 2)
    canvas.line(MARGIN, cut, WIDTH - MARGIN, cut)
    canvas.setDash()
    late = f"  {LATE[parcel.late]}" if parcel.late else ""
    items = [
        f"□ {item.name}" + (f" ({item.sku})" if item.sku else "") for item, _ in card.items
    ] or ["—"]
    lines = [
        f"{title}  {parcel.shop}{late}",
        f"{parcel.order_number}  {parcel.number}/{parcel.count}  {parcel.customer_name or ''}",
        *items,
    ]
    _frame(canvas, lines, SMALL, MARGIN + CODE_HEIGHT + 2 * mm, cut - 2 * mm)
    code = Code128(parcel.code, barHeight=CODE_HEIGHT - 4 * mm, barWidth=0.33 * mm)
    code.drawOn(canvas, (WIDTH - code.width) / 2, MARGIN + 4 * mm)
    canvas.setFont(NAME, 9)
    canvas.drawCentredString(WIDTH / 2, MARGIN, parcel.code)


def _frame(
    canvas: Canvas, lines: Sequence[str], style: ParagraphStyle, bottom: float, top: float
) -> None:
    """Paragraphs between two heights; what would not fit is printed smaller."""
    width = WIDTH - 2 * MARGIN
    texts = [escape(printable(line), quote=False).replace("\n", "<br/>") for line in lines]
    shown = [Paragraph(text, style) for text in texts]
    block = KeepInFrame(width, top - bottom, shown, mode="shrink")
    _, height = block.wrapOn(canvas, width, top - bottom)
    block.drawOn(canvas, MARGIN, top - height)
