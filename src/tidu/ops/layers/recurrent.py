"""What the recurrent layers have in common, each of which is a whole sequence in one operation.

The rows are packed as described in `tidu.ops.layers.packed`; H is the hidden size, and the inputs
are projected already. Each operation is one node on the tape with its own derivative, which walks
back in one operation as well. Where that derivative is to be differentiated again, it is called on
tensors, and its steps go onto the tape one by one.
"""

from __future__ import annotations

from typing import Any

from tidu.ir.op import Op, Sample
from tidu.ops.layers.packed import Sizes
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.moving.movement import permute
from tidu.ops.pick import pick
from tidu.ops.rules import class_name
from tidu.ops.sources import full


def check_layer(op: Op, inputs: tuple[Any, ...], weight: Any, batch_sizes: Sizes) -> None:
    """RuntimeError for dtypes that differ, and for shapes that do not fit together."""
    x, h0 = inputs[0], inputs[1]
    for y in inputs[1:]:
        if y is not None and y.dtype is not x.dtype:
            raise RuntimeError(
                f"mat1 and mat2 must have the same dtype, but got {class_name(x.dtype)} and "
                f"{class_name(y.dtype)} ({op.name}: inputs and states have to have the dtype of "
                "the weights)"
            )
    count, width = x.shape
    if count != sum(batch_sizes) or width != weight.shape[0] or weight.shape[1] != h0.shape[1]:
        raise RuntimeError(
            f"{op.name}: projected inputs {list(x.shape)}, states {list(h0.shape)}, recurrent "
            f"weight {list(weight.shape)} and batch sizes {batch_sizes} do not fit together"
        )


def way_back(op: Op, *arguments: Any) -> tuple[Any, ...]:
    """The derivative in one operation on Values;
    on tensors step by step, so that it has a derivative itself.
    """
    if any(hasattr(x, "apply_op") for x in arguments[: op.arity]):
        assert op.decompose is not None
        return tuple(op.decompose(*arguments))
    packed = op(*arguments)
    return tuple(pick(packed, number) for number in range(op.outputs))


def weight_cotangent(rows_of_g: Any, states: Any) -> Any:
    """Σ over all rows of the outer products: (N, G) and (N, H) give (G, H)."""
    return matmul(permute(rows_of_g, (1, 0)), states)


def on_the_way_back(infer: Any) -> dict[str, Any]:
    """What the derivatives have in common:
    the gradients of the layers above are what tests them.
    """
    return {"kind": "composite", "infer": infer, "samples": lambda: [Sample(())], "reference": ""}


def or_zeros(g: Any, shape: tuple[int, ...], d: Any) -> Any:
    """A cotangent, or zeros where there is none."""
    return full(0.0, shape, d) if g is None else g
