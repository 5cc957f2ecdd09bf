"""What Liquid lets templates do, in plain texts and in HTML."""

from liquid import Environment, Token
from liquid.undefined import UNDEFINED, FalsyStrictUndefined

from core.domain.campaigns.content.filters import add_filters
from core.domain.campaigns.content.variables import no_value


class _Missing(FalsyStrictUndefined):
    """A variable without value: it can be asked for and defaulted, but not shown."""

    def __init__(
        self, name: str, *, token: Token | None, obj: object = UNDEFINED, hint: str | None = None
    ) -> None:
        super().__init__(name, token=token, obj=obj, hint=hint)
        self.msg = no_value((hint or name).removesuffix(" is undefined"))

    def __eq__(self, other: object) -> bool:
        return other is False or other is None or other == ""

    __hash__ = FalsyStrictUndefined.__hash__


class _Limited(Environment):
    loop_iteration_limit = 10_000
    output_stream_limit = 1_000_000
    local_namespace_limit = 100_000
    context_depth_limit = 20


TEXT = _Limited(undefined=_Missing)
HTML = _Limited(undefined=_Missing, autoescape=True)
for _environment in (TEXT, HTML):
    add_filters(_environment)
    # a message is one template: there is nothing to include
    del _environment.tags["include"], _environment.tags["render"]
