"""Elements in another order, shape or place, and nothing computed.

`movement` and `joining` declare the operations; read them first. In terms of them: `shaping` (view,
permute, expand), `sections` (split, narrow), `arranging` (roll, repeat), `grids`, `triangles`,
`padding`, `copies`. `strided` reads memory with any strides.
"""
