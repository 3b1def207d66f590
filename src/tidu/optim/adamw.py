"""AdamW: Adam with decoupled weight decay."""

from __future__ import annotations

from typing import Any

from tidu.optim.adam import Adam
from tidu.optim.optimizer import ParamsT
from tidu.tensor import Tensor


class AdamW(Adam):
    """Adam with decoupled weight decay: θ ← (1 − γλ)θ before each update of Adam.

    Takes the arguments of Adam, `weight_decay` λ being 0.01 unless given. Follows
    torch.optim.AdamW; Loshchilov and Hutter, 2017, https://arxiv.org/abs/1711.05101.

    >>> optimizer = AdamW(model.parameters(), lr=3e-4, weight_decay=0.1)
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # A checkpoint of Adam, or of a version without this option, still means AdamW here.
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
