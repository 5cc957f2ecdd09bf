"""Rules evaluated naively in Python over small random people: what the SQL must agree with.

Each family of facets has a module here with

- `fill(r, person)`: put the family's facts into a person, a dict, by the random numbers of `r`;
- `async store(w, person)`: write them; `person["id"]` is the customer, `person["orders"]` are
  stored by orders.py before later families;
- `LEAVES`: a Hypothesis strategy of `{"facet": params}`;
- `EVALUATE`: the facet's name -> `(params, person) -> bool`.
"""
