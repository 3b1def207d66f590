"""``torch.functional``: functions that PyTorch writes in Python."""

from __future__ import annotations

from tidu.tensor import namespaces

_torch = namespaces["torch"]

atleast_1d = _torch["atleast_1d"]
atleast_2d = _torch["atleast_2d"]
atleast_3d = _torch["atleast_3d"]
block_diag = _torch["block_diag"]
broadcast_shapes = _torch["broadcast_shapes"]
broadcast_tensors = _torch["broadcast_tensors"]
cartesian_prod = _torch["cartesian_prod"]
cdist = _torch["cdist"]
chain_matmul = _torch["chain_matmul"]
einsum = _torch["einsum"]
lu = _torch["lu"]
meshgrid = _torch["meshgrid"]
norm = _torch["norm"]
split = _torch["split"]
tensordot = _torch["tensordot"]
unique = _torch["unique"]
unique_consecutive = _torch["unique_consecutive"]
unravel_index = _torch["unravel_index"]
