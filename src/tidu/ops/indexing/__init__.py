"""Elements chosen by index, by mask or by size.

`arrays` (x[i, j], several index tensors) and `along` (gather and scatter) declare the operations,
`bounds` says whether an index lies within its dimension. In terms of them: `selection`,
`scattering`. By size: `sorting`, `order_statistics`, `searching`.
"""
