"""GraphQL: types and resolvers by noun, limits, errors, pages, and the composition with plugins."""
