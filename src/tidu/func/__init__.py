"""``torch.func``: derivatives of functions as functions, which compose.

Arguments may be nested containers of tensors, such as the parameters of a module by name. All of it
is made of backward passes; `vmap` calls its function once for each element.
"""

from __future__ import annotations

from tidu.func.derivatives import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, vjp
from tidu.func.mapping import stack_module_state, vmap
from tidu.nn.utils.stateless import functional_call

__all__ = [
    "functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp",
    "stack_module_state", "vjp", "vmap",
]  # fmt: skip
