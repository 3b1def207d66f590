"""What the compiler stores and repeats, and how it goes through memory: that it does, and that the
numbers stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tidu
from tests.compiler.tiers import assert_same_in_both_tiers, tier
from tests.golden.programs import graphs
from tidu import Tensor
from tidu.backends.null import VECTOR_BYTES
from tidu.compiler import strips
from tidu.compiler.fuse import Kernel
from tidu.compiler.pipeline import Lowered, forms
from tidu.compiler.program import NativeCall, Plan
from tidu.compiler.render import render
from tidu.compiler.steps import Correlate, Product, Root
from tidu.ir import product_order
from tidu.nn import functional as F


def numbers(*shape: int, dtype: Any = np.float32, seed: int = 0) -> Tensor:
    array = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    return tidu.tensor(array)


def passes(run: Callable[[], Any]) -> dict[str, Any]:
    """What each pass makes of the one region of a function."""
    (graph,) = graphs(lambda: run)
    return dict(forms(graph, VECTOR_BYTES))


def stored(run: Callable[[], Any]) -> list[Root]:
    lowered: Lowered = passes(run)["lower"]
    return [step for step in lowered.steps.steps if isinstance(step, Root)]


def kernel_text(run: Callable[[], Any]) -> str:
    plan: Plan = passes(run)["plan"]
    return "\n".join(function.text for function in plan.functions.values())


def test_what_is_cheap_is_computed_by_each_that_uses_it() -> None:
    x = numbers(50, 60)

    def run() -> list[Tensor]:
        centered = x * 0.5 + 1.0
        return [centered.sum(0), centered.max(1).values]

    assert len(stored(run)) == 2
    assert_same_in_both_tiers(run)


def test_what_is_expensive_is_computed_once() -> None:
    x = numbers(50, 60)

    def run() -> list[Tensor]:
        s = tidu.sigmoid(x)
        return [s.sum(0), s.max(1).values]

    assert "sigmoid" in render(passes(run)["lower"]).splitlines()[2]
    assert len(stored(run)) == 3
    assert_same_in_both_tiers(run)


def test_what_a_product_reads_is_stored_in_its_own_order_whatever_else_uses_it() -> None:
    x, weight = numbers(300, 40), numbers(300, 30)

    def run() -> list[Tensor]:
        doubled = x * 2.0
        return [doubled.t() @ weight, doubled.sum(0)]

    (product,) = [s for s in passes(run)["lower"].steps.steps if isinstance(s, Product)]
    assert product.a.transposed
    assert_same_in_both_tiers(run, 1e-4)


def test_slices_that_are_all_of_a_value_do_not_store_it() -> None:
    x, bias = numbers(50, 64), numbers(64)

    def run() -> list[Tensor]:
        left, right = (x + bias).split(32, 1)
        return [left.sigmoid() * right.tanh()]

    assert len(stored(run)) == 1
    assert_same_in_both_tiers(run)


def test_what_is_stored_keeps_the_order_of_what_it_is_made_of() -> None:
    x = numbers(6, 40, 50)

    def run() -> list[Tensor]:
        turned = x.transpose(0, 1).sigmoid()
        return [turned.sum((1, 2)), turned.amax(0)]

    first = stored(run)[0]
    assert first.buffer.shape == (6, 40, 50)
    assert first.store.strides == (50, 40 * 50, 1)
    assert_same_in_both_tiers(run)


def test_what_is_reduced_keeps_the_order_of_what_it_is_made_of() -> None:
    x = numbers(6, 40, 50)

    def run() -> list[Tensor]:
        sums = x.transpose(0, 1).sigmoid().sum(2)
        return [sums.exp() * 2.0, sums.sum(1, keepdim=True)]

    first = stored(run)[0]
    assert first.buffer.shape == (6, 40)
    assert first.store.strides == (1, 40, 0)
    assert_same_in_both_tiers(run)


@pytest.mark.parametrize("reduced", [False, True])
def test_loops_go_through_memory_from_front_to_back(reduced: bool) -> None:
    x, y = numbers(6, 40, 50), numbers(40, 50)

    def run() -> Tensor:
        made = x.transpose(0, 1).sigmoid() * y[:, None]
        return made.amax(2) if reduced else made

    loops = [call.loops for call in passes(run)["plan"].calls]
    assert loops[0].outer[0] == 1  # along x, not along what is made of it
    assert_same_in_both_tiers(run)


def test_short_rows_have_as_many_lanes_as_elements() -> None:
    x = numbers(30, 40, 8)
    (call,) = passes(lambda: x.sigmoid().amax(1))["plan"].calls
    assert call.loops.lanes == 8
    assert_same_in_both_tiers(lambda: x.sigmoid().amax(1))


def grown(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Something that grows by one part after another, each made of all before it."""
    total = x.sum()
    for _ in range(count):
        new = (x * x.mean((0, 2), keepdim=True)).mean(1, keepdim=True).sigmoid()
        x = tidu.cat((x, new), 1)
        total = total + (x * x).sum()
    return x * 2.0, total


def test_what_grows_by_joining_is_stored_once() -> None:
    x = numbers(4, 3, 50)

    def run() -> list[Tensor]:
        return [*grown(x.exp(), 12)]

    joined = [root.buffer.shape for root in stored(run) if root.buffer.size > 4 * 4 * 50]
    assert joined.count((4, 15, 50)) == 14  # the first part and twelve others, and the result
    assert len(joined) == 14
    assert_same_in_both_tiers(run)


def test_derivatives_through_what_grows_by_joining() -> None:
    def run() -> list[Tensor]:
        x = numbers(4, 3, 50).requires_grad_()
        last, total = grown(x, 5)
        (last.sum() + total).backward()
        return [last, total, x.grad]

    assert_same_in_both_tiers(run, 1e-4)


def test_parts_of_a_join_that_others_read_too() -> None:
    """A product reads one part, NumPy one, a convolution one; a part may be two, or a result."""
    x, weight, taps = numbers(4, 6, 16), numbers(16, 5), numbers(2, 6, 3)

    def run() -> list[Tensor]:
        a, b, c = x.sigmoid(), (x * 2.0).tanh(), x.exp()
        block = tidu.cat((a, b, c, b), 0)
        columns = tidu.cat((a, c), 2)
        pairs = tidu.stack((a.reshape(24, 16), b.reshape(24, 16)), 1)
        convolved = F.conv1d(c, taps)
        return [block, columns * 3.0, pairs.sum(1), a @ weight, b.sort(2).values, convolved, c]

    assert_same_in_both_tiers(run, 1e-4)


def test_a_part_of_two_joins() -> None:
    x = numbers(4, 6)

    def run() -> list[Tensor]:
        a, b = x.sigmoid(), x.exp()
        return [tidu.cat((a, b, a), 0) * 2.0, tidu.cat((b, a), 0) * 3.0]

    assert_same_in_both_tiers(run)


@pytest.mark.parametrize("count", [1, 3, 400])
def test_joins_of_joins_of_joins(count: int) -> None:
    def run() -> list[Tensor]:
        x = numbers(2, 5).sigmoid()
        for _ in range(count):
            x = tidu.cat((x, x[-1:] * 0.5 + 0.1), 0)
        return [x * 1.0, x.t() @ x]

    assert_same_in_both_tiers(run)


def test_a_kernel_writes_several_parts_of_one_buffer_and_reads_another() -> None:
    """The steps of a recurrent layer: gates, states and cells of all of them are joined."""
    layer, x = tidu.nn.LSTM(8, 32), numbers(5, 8, 8)

    def run() -> list[Tensor]:
        layer.zero_grad()
        out, (state, cell) = layer(x)
        (out * out).sum().backward()
        return [out, state, cell, *(p.grad for p in layer.parameters())]

    (forward,) = graphs(lambda: lambda: layer(x)[0])
    kernels = [s for s in dict(forms(forward, VECTOR_BYTES))["fuse"].order if isinstance(s, Kernel)]
    assert sum(len(kernel.roots) >= 6 for kernel in kernels) == 5
    assert_same_in_both_tiers(run, 1e-4)


def test_the_update_of_a_parameter_is_one_kernel_however_many_there_are() -> None:
    parameters = [tidu.nn.Parameter(numbers(7 + i)) for i in range(60)]
    optimizer = tidu.optim.Adam(parameters, lr=0.1)
    for number, parameter in enumerate(parameters):
        parameter.grad = numbers(7 + number, seed=1)
    optimizer.step()
    tidu.realize()

    def run() -> None:
        tidu.nn.utils.clip_grad_value_(parameters, 0.5)
        optimizer.step()

    (graph,) = graphs(lambda: run)
    kernels = [s for s in dict(forms(graph, VECTOR_BYTES))["fuse"].order if isinstance(s, Kernel)]
    assert len([k for k in kernels if k.space]) == len(parameters)


def test_equal_operations_are_done_once() -> None:
    x = numbers(50, 60)

    def run() -> list[Tensor]:
        return [tidu.exp(x).sum(0), tidu.exp(x).max(1).values]

    assert render(passes(run)["expand"]).count("exp(") == 1
    assert_same_in_both_tiers(run)


@pytest.mark.parametrize(
    "both",
    [
        lambda x: (x + x, x + x),
        lambda x: (x.amin(), x.aminmax()[0]),
        lambda x: (x * 2.0, (x * 2.0).reshape(8, 9)),
        lambda x: (tidu.softmax(x, 1), tidu.softmax(x, 1)),
    ],
)
def test_equal_results_do_not_share_memory(both: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
    x = numbers(8, 9)
    with tier(1):
        first, second = both(x)
        tidu.realize()
        one, other = first._value.buffer, second._value.buffer
        assert not np.shares_memory(one, other)
        np.testing.assert_array_equal(one, other)


def test_what_moves_nothing_is_left_out() -> None:
    x = numbers(8, 9)

    def run() -> list[Tensor]:
        return [x.exp().reshape(8, 9).permute(0, 1).to(tidu.float32) + 1.0]

    text = render(passes(run)["expand"])
    assert not any(name in text for name in ("reshape", "permute", "cast"))
    assert_same_in_both_tiers(run)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("columns", [33, 64, 100])
@pytest.mark.parametrize("depth", [8, 17, 64, 129])
def test_a_product_of_many_rows_reads_a_transposed_operand_as_it_is(
    dtype: Any, columns: int, depth: int
) -> None:
    x, weight = numbers(300, depth, dtype=dtype), numbers(columns, depth + 5, dtype=dtype)

    def run() -> list[Tensor]:
        return [F.linear(x, weight[:, 3 : depth + 3])]

    (product,) = [s for s in passes(run)["lower"].steps.steps if isinstance(s, Product)]
    assert product.b.transposed
    assert_same_in_both_tiers(run, 1e-4)


def test_many_small_products_share_the_copy_of_a_transposed_operand() -> None:
    weight, rows = numbers(64, 64), [numbers(32, 64, seed=i) for i in range(10)]

    def run() -> list[Tensor]:
        return [F.linear(x, weight) for x in rows]

    assert len(stored(run)) == 1
    assert len(stored(lambda: [F.linear(x, weight) for x in rows[:2]])) == 0
    assert_same_in_both_tiers(run, 1e-4)


def convolutions(run: Callable[[], Any]) -> list[Correlate]:
    lowered: Lowered = passes(run)["lower"]
    return [step for step in lowered.steps.steps if isinstance(step, Correlate)]


def test_a_batch_of_short_lines_is_one_image() -> None:
    x, weight = numbers(10, 3, 20).relu(), numbers(4, 3, 3)

    def run() -> list[Tensor]:
        h, w = x.clone().requires_grad_(), weight.clone().requires_grad_()
        y = F.conv1d(h * 2.0, w, padding=1)
        return [y, *tidu.autograd.grad((y * y).sum(), [h, w])]

    found = convolutions(run)
    assert len(found) == 3
    assert all(step.params.images == 1 for step in found)
    assert_same_in_both_tiers(run, 1e-4)


def test_lines_that_fill_their_vectors_stay_images() -> None:
    x, weight = numbers(10, 3, 160), numbers(4, 3, 3)
    (step,) = convolutions(lambda: F.conv1d(x, weight, padding=1))
    assert step.params.images == 10


def test_workers_write_around_images_what_they_have_written_of_them_without_waiting() -> None:
    x, weight = numbers(32, 64, 100), numbers(4, 64, 3)
    calls = passes(lambda: F.conv1d(x * 2.0, weight, padding=1))["plan"].calls
    images, zeros, convolution, _ = calls
    assert isinstance(zeros, NativeCall)
    assert images.reads and not zeros.reads and zeros.writes == images.writes
    assert max(zeros.units, images.units) > 1
    assert not zeros.barrier
    assert convolution.barrier


@pytest.mark.parametrize("size", [5, 16, 31, 40, 200])
@pytest.mark.parametrize("step", [2, 3, 4])
def test_every_so_many_elements_are_read_and_written_without_gathers(size: int, step: int) -> None:
    x, part = numbers(7, size * step), numbers(7, size, seed=1)

    def read() -> list[Tensor]:
        return [x[:, 1::step] * part[:, : len(range(1, size * step, step))]]

    def added() -> list[Tensor]:
        y = x.clone()
        y[:, step - 1 :: step] += part
        z = x.clone()
        z[:, ::step] = part
        return [y, z]

    for run in (read, added):
        assert_same_in_both_tiers(run)
        if size >= 40:
            assert "masked.gather" not in kernel_text(run)
            assert "masked.scatter" not in kernel_text(run)


@pytest.mark.parametrize("transposed", [False, True])
def test_the_weights_of_many_small_products_are_laid_out_once(
    transposed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = numbers(128, 128)
    rows = [numbers(32, 128, seed=i) for i in range(8)]

    def run() -> list[Tensor]:
        return [x @ (w.T if transposed else w) for x in rows]

    def found() -> tuple[list[Product], list[Root]]:
        steps = passes(run)["lower"].steps.steps
        products = [step for step in steps if isinstance(step, Product)]
        return products, [step for step in steps if isinstance(step, Root)]

    monkeypatch.setattr(product_order, "_BY_INTEL", False)
    products, copies = found()
    assert [(p.m, p.n, p.batch, p.b.transposed) for p in products] == [(32, 128, (), False)] * 8
    assert [copy.buffer.shape for copy in copies] == [(1, 128, 128)] * transposed
    monkeypatch.setattr(product_order, "_BY_INTEL", True)
    width = strips.width("float", VECTOR_BYTES)
    products, copies = found()
    assert [copy.buffer.shape for copy in copies] == [(128 // width, 128, width)]
    assert [(p.m, p.n, p.batch) for p in products] == [(16, width, (2, 128 // width))] * 8
    assert {p.b.buffer.number for p in products} == {copies[0].buffer.number}
