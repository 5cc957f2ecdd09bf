"""Random selections over any schema, for two executors to answer alike."""

from graphql import (
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_object_type,
    is_required_argument,
)


class Selections:
    """Makes documents: aliases, fragments, type conditions, @skip and @include, __typename.

    `arguments` gives the text of a field's arguments, such as "(first: 2)", or None to leave the
    field out; without it only fields that need none are taken, without any.
    """

    def __init__(self, schema, rng, arguments=None, depth=4, width=5):
        self.schema, self.rng, self.depth, self.width = schema, rng, depth, width
        self.arguments = arguments or self._none
        self.fragments, self.variables = [], {}

    @staticmethod
    def _none(parent, name, field):
        return None if any(is_required_argument(one) for one in field.args.values()) else ""

    def document(self, roots=None):
        """A query and its variables; `roots` are root fields to choose from."""
        self.fragments, self.variables = [], {}
        body = self.selection(self.schema.query_type, self.depth, roots)
        declared = ", ".join(f"${name}: Boolean!" for name in self.variables)
        head = f"query ({declared})" if declared else "query"
        return " ".join([head, body, *self.fragments]), dict(self.variables)

    def selection(self, type_, depth, names=None):
        if depth < 1:
            return "{ __typename }"
        parts = [
            part
            for _ in range(self.rng.randint(1, self.width))
            if (part := self._part(type_, depth, names))
        ]
        return "{ " + " ".join(parts or ["__typename"]) + " }"

    def _part(self, type_, depth, names):
        chance = self.rng.random()
        if chance < 0.08:
            return f"{self._alias(0.3)}__typename{self._directive()}"
        if chance < 0.2:
            inner = self.selection(type_, depth - 1)
            return f"...{self._condition(type_)}{self._directive()} {inner}"
        if is_abstract_type(type_) and chance < 0.6:
            member = self.rng.choice(self.schema.get_possible_types(type_))
            return f"... on {member.name}{self._directive()} {self.selection(member, depth - 1)}"
        if chance < 0.28 and is_object_type(type_):
            name = f"F{len(self.fragments)}"
            self.fragments.append("")
            number = len(self.fragments) - 1
            body = self.selection(type_, depth - 1)
            self.fragments[number] = f"fragment {name} on {type_.name} {body}"
            return f"...{name}{self._directive()}"
        return self._field(type_, depth, names)

    def _field(self, type_, depth, names):
        fields = getattr(type_, "fields", {})
        name = self.rng.choice(sorted(names or fields)) if fields else None
        if name is None:
            return None
        arguments = self.arguments(type_, name, fields[name])
        if arguments is None:
            return None
        named = get_named_type(fields[name].type)
        if is_composite_type(named) and depth <= 1:
            return None
        # one name means one thing, so that no two selections of it contradict each other
        alias = f"{name}{self.rng.randrange(10**6)}: " if arguments else self._alias(0.2, name)
        head = f"{alias}{name}{arguments}{self._directive()}"
        if not is_composite_type(named):
            return head
        return f"{head} {self.selection(named, depth - 1)}"

    def _alias(self, chance, name="typename"):
        if self.rng.random() > chance:
            return ""
        return f"{name}{self.rng.randrange(10**6)}: "

    def _condition(self, type_):
        return f" on {type_.name}" if self.rng.random() < 0.7 else ""

    def _directive(self):
        if self.rng.random() > 0.12:
            return ""
        name, value = self.rng.choice(["skip", "include"]), self.rng.random() < 0.5
        if self.rng.random() < 0.3:
            return f" @{name}(if: {'true' if value else 'false'})"
        variable = f"v{len(self.variables)}"
        self.variables[variable] = value
        return f" @{name}(if: ${variable})"
