"""Many elements become one: sums, extremes, norms, statistics, and sums up to each place.

`reduce` declares what most others are made of; read it first. Then `in_order`, `places`,
`extremes`, `variance`, `scan`, `product`, `norms`, `statistics`, `calculus`; and `total_norm`, of
several tensors at once.
"""
