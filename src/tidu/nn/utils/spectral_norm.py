"""Spectral normalization in its old form:
a hook makes `weight` of `weight_orig` before each call.
"""

from __future__ import annotations

from typing import Any

from tidu.autograd.modes import no_grad
from tidu.nn import functional as F
from tidu.nn.module import Module
from tidu.nn.parameter import Parameter
from tidu.nn.utils.norms import as_matrix, default_dim, random_direction


class SpectralNorm:
    """The hook: weight = weight_orig / σ, with σ = u · W v tracked by power iteration."""

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.name = name
        self.n_power_iterations = n_power_iterations
        self.dim = dim
        self.eps = eps

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Any:
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            with no_grad():
                new_u, fixed = u, matrix.detach()
                for _ in range(self.n_power_iterations):
                    new_v = F.normalize(fixed.t() @ new_u, dim=0, eps=self.eps)
                    new_u = F.normalize(fixed @ new_v, dim=0, eps=self.eps)
                u.copy_(new_u)
                v.copy_(new_v)
        return weight / (u.clone() @ (matrix @ v.clone()))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a parameter by its greatest singular value (Miyato et al., 2018);
    see also `parametrizations`.

    Replaces the parameter `name` by ``name_orig`` with buffers ``name_u`` and ``name_v``. Raises
    RuntimeError if it was replaced before.
    """
    for known in module._forward_pre_hooks.values():
        if isinstance(known, SpectralNorm) and known.name == name:
            raise RuntimeError(
                f"Cannot register two spectral_norm hooks on the same parameter {name}"
            )
    hook = SpectralNorm(name, n_power_iterations, default_dim(module) if dim is None else dim, eps)
    weight = module._parameters.get(name)
    if weight is None:
        raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
    rows, columns = as_matrix(weight.detach(), hook.dim).shape
    u, v = random_direction(weight, rows, eps), random_direction(weight, columns, eps)
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.data)
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make `name` an ordinary parameter again;
    ValueError if there is no spectral normalization on it.
    """
    for number, hook in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            with no_grad():
                weight = hook.compute_weight(module, do_power_iteration=False)
            for suffix in ("", "_orig", "_u", "_v"):
                delattr(module, name + suffix)
            module.register_parameter(name, Parameter(weight.detach()))
            del module._forward_pre_hooks[number]
            return module
    raise ValueError(f"spectral_norm of '{name}' not found in {module}")
