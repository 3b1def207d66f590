"""The verifier has nothing to say about what the passes make, and refuses each way to break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import tidu
from tests.golden.programs import PROGRAMS, Program, graphs
from tidu.backends.null import VECTOR_BYTES
from tidu.compiler.expressions import GUARDED, LOAD, Guard
from tidu.compiler.fuse import Kernel
from tidu.compiler.graph import Graph
from tidu.compiler.layouts import Layout
from tidu.compiler.pipeline import Lowered, Merged, forms
from tidu.compiler.program import NativeCall, Plan
from tidu.compiler.steps import Correlate, HostCall, Product, Root
from tidu.compiler.verify import InvalidFormError, complaints, verify_form
from tidu.ir.value import Value
from tidu.ops.reductions.reduce import sum_in_order


def made(program: Program | str, step: str) -> Any:
    """What a pass gives for a program of one region, to be broken."""
    (graph,) = graphs(PROGRAMS[program] if isinstance(program, str) else program)
    return dict(forms(graph, VECTOR_BYTES))[step]


def exponential() -> Callable[[], Any]:
    x = tidu.ones(20)
    return lambda: x.exp()


def gradient_of_a_slice() -> Callable[[], Any]:
    """Zeros around a tensor: guards instead of memory."""
    x, weight = tidu.randn(8, 50, requires_grad=True), tidu.randn(8, 40)
    return lambda: tidu.autograd.grad((x[:, 5:45] * weight).sum(), x)[0]


def steps(form: Lowered, kind: type) -> list[Any]:
    return [step for step in form.steps.steps if isinstance(step, kind)]


def kernels(form: Merged) -> list[Kernel]:
    return [step for step in form.order if isinstance(step, Kernel)]


def refuses(form: Any, *words: str) -> None:
    """The verifier complains, in these words."""
    text = "\n".join(complaints(form))
    for word in words:
        assert word in text, text or "no complaint"


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_the_passes_make_is_in_order(name: str) -> None:
    for graph in graphs(PROGRAMS[name]):
        for step, form in forms(graph, VECTOR_BYTES):
            assert list(complaints(form)) == [], step


def test_the_error_names_the_pass() -> None:
    graph: Graph = made("softmax", "expand")
    del graph.values[0]
    with pytest.raises(InvalidFormError, match=r"^after pass 'expand': an input is neither a leaf"):
        verify_form("expand", graph)


def test_a_value_with_another_shape_than_its_rule_gives() -> None:
    graph: Graph = made("softmax", "expand")
    graph.values[1].shape = (64, 127)
    refuses(graph, "its rule gives torch.float32[64, 128]", "f32[64, 127] sub(")


def test_an_output_that_nothing_computes() -> None:
    graph: Graph = made("softmax", "expand")
    graph.outputs = [Value(None, (), (), (3,), tidu.float32, None)]
    refuses(graph, "an output is nowhere computed", "f32[3]")


def test_a_leaf_with_an_operation() -> None:
    graph: Graph = made("softmax", "expand")
    graph.leaves[0].op = graph.values[0].op
    refuses(graph, "a leaf has an operation")


def test_a_step_that_reads_what_is_written_after_it() -> None:
    form: Lowered = made("softmax", "lower")
    form.steps.steps.reverse()
    refuses(form, "the root of out0 reads t1 before it is written", "after the root of out0 has")


def test_a_buffer_of_which_a_part_is_never_written() -> None:
    form: Lowered = made("cat_and_split", "lower")
    del form.steps.steps[1]
    refuses(form, "the root of out0 reads t0 before 96 of its 256 elements are written")


def test_a_piece_that_is_written_after_the_whole_is_read() -> None:
    form: Lowered = made("cat_and_split", "lower")
    form.steps.steps.append(form.steps.steps.pop(1))
    refuses(form, "the root of t0 writes to t0 after the root of out0 has read it")


def joined_twice() -> Callable[[], Any]:
    """What is joined first is read before the second part is there."""
    x = tidu.randn(40, 50)

    def run() -> Any:
        first = tidu.cat((x.sigmoid(), x.tanh()), 0)
        return tidu.cat((first, first.sum(0, keepdim=True).exp()), 0) * 2.0

    return run


def test_a_part_that_is_read_before_it_is_written() -> None:
    form: Lowered = made(joined_twice, "lower")
    assert list(complaints(form)) == []
    form.steps.steps.insert(0, form.steps.steps.pop(2))
    refuses(form, "reads t0 before it is written")


def test_a_part_that_is_written_after_it_is_read() -> None:
    form: Lowered = made(joined_twice, "lower")
    form.steps.steps.insert(3, form.steps.steps[0])
    refuses(form, "the root of t0 writes to elements of t0 that have been read")


def test_an_output_that_is_not_stored() -> None:
    form: Lowered = made("softmax", "lower")
    del form.steps.steps[-1]
    refuses(form, "the caller reads out0 before it is written")


def test_a_step_that_writes_to_a_leaf() -> None:
    form: Lowered = made("softmax", "lower")
    root = steps(form, Root)[-1]
    form.steps.steps[-1] = replace(root, buffer=form.steps.leaves[0])
    refuses(form, "the root of in0 writes to in0, which the program was given")


def test_a_sum_into_memory_that_nothing_has_cleared() -> None:
    form: Lowered = made("embedding", "lower")
    del form.steps.steps[0]
    refuses(form, "changes elements of out0 that are not written yet")


def test_strides_for_another_number_of_dimensions() -> None:
    form: Lowered = made("softmax", "lower")
    root = steps(form, Root)[-1]
    form.steps.steps[-1] = replace(root, store=Layout((1,), 0))
    refuses(form, "the root of out0: the store has 1 strides in 2 dimensions")


def test_a_store_outside_of_its_buffer() -> None:
    form: Lowered = made("softmax", "lower")
    root = steps(form, Root)[-1]
    form.steps.steps[-1] = replace(root, store=Layout((128, 1), 1))
    refuses(form, "the root of out0 stores into 8192 elements at places 1 to 8192")


def test_a_store_that_puts_two_elements_in_one_place() -> None:
    form: Lowered = made("softmax", "lower")
    root = steps(form, Root)[-1]
    form.steps.steps[-1] = replace(root, store=Layout((64, 1), 0))
    refuses(form, "the root of out0 stores several elements in one place")


def test_a_load_outside_of_its_buffer() -> None:
    form: Lowered = made("softmax", "lower")
    root = steps(form, Root)[0]
    shifted = form.make.relaid(root.expression, lambda x: Layout(x.strides, x.offset - 3))
    form.steps.steps[0] = replace(root, expression=shifted)
    refuses(form, "the root of t0 loads in0 f32[64, 128] at places -3 to 8188")


def test_a_load_of_another_dtype_than_its_buffer() -> None:
    form: Lowered = made("softmax", "lower")
    root = steps(form, Root)[0]
    other = form.make.load(0, root.expression.what[1], tidu.int32)
    form.steps.steps[0] = replace(root, expression=other)
    refuses(form, "the root of t0 loads i32 from in0 f32[64, 128]")


def test_dimensions_to_reduce_without_a_reduction() -> None:
    form: Lowered = made("softmax", "lower")
    root = steps(form, Root)[0]
    form.steps.steps[0] = replace(root, reduction=None)
    refuses(form, "has dimensions to reduce, or a reduction, but not both")
    form.steps.steps[0] = replace(root, reduced=frozenset({2}))
    refuses(form, "the root of t0 is reduced over dimensions [2] of 2")


def test_a_reduction_whose_result_moves() -> None:
    form: Lowered = made("softmax", "lower")
    root = steps(form, Root)[0]
    form.steps.steps[0] = replace(root, store=Layout((0, 1), 0))
    refuses(form, "stores its result elsewhere for each element of a reduced dimension")


def test_a_number_that_the_program_is_not_given() -> None:
    form: Lowered = made("adam", "lower")
    refuses(replace(form, numbers=form.numbers[:3]), "uses n3 of 3 numbers")


def test_a_guard_that_lets_too_much_through() -> None:
    form: Lowered = made(gradient_of_a_slice, "lower")
    place, root = next(
        (i, s)
        for i, s in enumerate(form.steps.steps)
        if isinstance(s, Root) and s.expression.kind == GUARDED
    )
    guards, fill = root.expression.what
    wider = tuple(g._replace(low=g.low - 1) for g in guards)
    broken = form.make.make(GUARDED, (wider, fill), root.expression.inputs, root.expression.dtype)
    form.steps.steps[place] = replace(root, expression=broken)
    refuses(form, "loads in1 f32[8, 40] at places -1 to 319")


@pytest.mark.parametrize("high", [20, 21])
def test_guards_of_several_dimensions_are_tried_out(high: int) -> None:
    form: Lowered = made(exponential, "lower")
    (root,) = steps(form, Root)
    # x[i + 2j] where i + 2j < high, for i and j below 10: no single dimension says where that is.
    skewed = Layout((1, 2), 0)
    inner = form.make.make(LOAD, (0, skewed, ()), (), root.buffer.dtype)
    guarded = form.make.make(GUARDED, ((Guard(skewed, 0, high),), 0), (inner,), inner.dtype)
    buffer = replace(root.buffer, size=100, shape=(10, 10))
    form.steps.buffers[buffer.number] = buffer
    form.steps.outputs[0] = buffer
    form.steps.steps[0] = replace(
        root, buffer=buffer, space=(10, 10), expression=guarded, store=Layout((10, 1), 0)
    )
    if high == 20:
        assert list(complaints(form)) == []
    else:
        refuses(form, "loads in0 f32[20] at places 0 to 20")


def test_an_index_that_reaches_too_far() -> None:
    form: Lowered = made("embedding", "lower")
    root = steps(form, Root)[-1]
    (index,) = root.scatter.indices
    scatter = replace(root.scatter, indices=(index._replace(size=51),))
    form.steps.steps[-1] = replace(root, scatter=scatter)
    refuses(form, "scatters into 800 elements at places 0 to 815")


def test_a_product_that_reads_past_the_end_of_a_matrix() -> None:
    form: Lowered = made("linear_relu_backward", "lower")
    first = steps(form, Product)[0]
    first.a = replace(first.a, offset=1)
    refuses(form, "the product into t0 uses in1 f32[64, 128] at places 1 to 8192")


def test_a_product_whose_rows_overlap() -> None:
    form: Lowered = made("linear_relu_backward", "lower")
    first = steps(form, Product)[0]
    first.c = replace(first.c, leading=9)
    refuses(form, "rows of 10 elements of t0 f32[64, 10] are 9 apart")


def test_a_convolution_that_leaves_its_buffer() -> None:
    form: Lowered = made("conv1d", "lower")
    (step,) = steps(form, Correlate)
    step.params = step.params._replace(x_taps=(0, 1, 3))
    refuses(form, "uses t0 f32[1, 8, 205] at places 0 to 1640")


def test_a_host_call_that_reads_a_buffer_in_an_impossible_shape() -> None:
    form: Lowered = made("cumulative", "lower")
    (call,) = steps(form, HostCall)
    call.inputs = (replace(call.inputs[0], shape=(64, 11)),)
    refuses(form, "the host call 'cumsum' reads t3 f32[64, 10] as [64, 11]")


def test_kernels_in_an_order_in_which_they_cannot_run() -> None:
    form: Merged = made("cross_entropy", "fuse")
    form.order.reverse()
    refuses(form, "before it is written")


def test_a_root_that_fusion_has_lost() -> None:
    form: Merged = made("adam", "fuse")
    kernels(form)[0].roots.pop()
    refuses(form, "roots lost or doubled: out")


def test_a_root_over_another_space_than_its_kernel() -> None:
    form: Merged = made("softmax", "fuse")
    (kernel,) = kernels(form)
    kernel.roots[1] = replace(kernel.roots[1], space=(128, 64))
    refuses(form, "the root of t1 runs over [128, 64] in a kernel over [64, 128]")


def test_a_root_that_is_reduced_otherwise_than_its_kernel() -> None:
    form: Merged = made("softmax", "fuse")
    (kernel,) = kernels(form)
    kernel.roots[0] = replace(kernel.roots[0], reduced=frozenset({0}))
    refuses(form, "the root of t0 and its kernel are reduced over different dimensions")


def test_a_root_that_uses_what_another_iteration_makes() -> None:
    form: Merged = made("softmax", "fuse")
    (kernel,) = kernels(form)
    last = kernel.roots[-1]
    make = form.lowered.make
    # The sum over the row behind this one.
    turned = make.relaid(last.expression, lambda x: Layout((-x.strides[0], x.strides[1]), 63))
    kernel.roots[-1] = replace(last, expression=turned)
    refuses(form, "the root of out0 asks for another element of t2 than its iteration makes")


def test_a_root_that_is_stored_once_but_changes_along_what_is_reduced() -> None:
    form: Merged = made("batch_norm", "fuse")
    kernel = next(k for k in kernels(form) if k.reduced)
    kept = next(r for r in kernel.roots if r.reduction is None and not r.store.strides[0])
    full = next(r for r in kernel.roots if r.reduction is not None)
    kernel.roots[kernel.roots.index(kept)] = replace(kept, expression=full.expression)
    refuses(form, "is stored once, but changes along a reduced dimension")


def test_a_root_over_what_is_kept_that_leaves_its_buffer() -> None:
    form: Merged = made("batch_norm", "fuse")
    kernel = next(k for k in kernels(form) if k.reduced)
    kept = next(r for r in kernel.roots if r.reduction is None and not r.store.strides[0])
    place = kernel.roots.index(kept)
    moved = Layout(kept.store.strides, 1)
    kernel.roots[place] = replace(kept, store=moved)
    refuses(form, "stores into 16 elements at places 1 to 16")
    further = form.lowered.make.relaid(
        kept.expression, lambda x: Layout(x.strides, x.offset + (16 if any(x.strides) else 0))
    )
    kernel.roots[place] = replace(kept, expression=further)
    refuses(form, "f64[1, 16, 1] at places 16 to 31")


def native(plan: Plan) -> list[NativeCall]:
    return [call for call in plan.calls if isinstance(call, NativeCall)]


def test_buffers_in_one_place_at_one_time() -> None:
    plan: Plan = made("attention", "plan")
    first, second = sorted(plan.offsets, key=lambda n: plan.offsets[n])[:2]
    plan.offsets[second] = plan.offsets[first]
    refuses(plan, "are in use together at byte 0")


def test_a_buffer_outside_of_the_arena() -> None:
    plan: Plan = made("attention", "plan")
    plan.arena -= 64
    refuses(plan, f"of an arena of {plan.arena}")


def test_a_buffer_that_is_not_aligned() -> None:
    plan: Plan = made("linear_relu_backward", "plan")
    number = next(iter(plan.offsets))
    plan.offsets[number] += 4
    refuses(plan, "not at a multiple of 64")


def test_a_buffer_without_a_place() -> None:
    plan: Plan = made("linear_relu_backward", "plan")
    plan.offsets.popitem()
    refuses(plan, "which has no place in memory", "asks for the slot of")


def test_workers_that_do_not_wait_for_each_other() -> None:
    plan: Plan = made("chain", "plan")
    for call in native(plan):
        call.barrier = False
    refuses(plan, "call 1 does not wait for call 0, which uses t3")


def test_tracks_that_need_each_other() -> None:
    plan: Plan = made("chain", "plan")
    for call in native(plan):
        call.barrier, call.units = False, 1
    verify_form("plan", plan)
    for number, call in enumerate(native(plan)):
        call.track = number % 2
    refuses(plan, "call 1 does not wait for call 0, which uses t3")


def test_workers_that_do_not_wait_for_memory_to_be_free() -> None:
    plan: Plan = made("linear_relu_backward", "plan")
    for call in native(plan):
        call.units, call.barrier = 2, False
    refuses(plan, "call 1 does not wait for call 0", "call 2 does not wait for call 1")


def sum_one_by_one() -> Callable[[], Any]:
    x = tidu.randn(40, 50, 60)
    return lambda: sum_in_order(x, (0, 2), False)


def test_lanes_along_elements_that_have_an_order() -> None:
    plan: Plan = made(sum_one_by_one, "plan")
    verify_form("plan", plan)
    loops = native(plan)[0].loops
    assert loops is not None
    loops.vector, loops.lanes = loops.inner[-1], 16
    refuses(plan, "call 0 takes in elements side by side that have an order")


def test_loops_in_another_order_than_that_of_the_elements() -> None:
    plan: Plan = made(sum_one_by_one, "plan")
    loops = native(plan)[0].loops
    assert loops is not None
    loops.inner.reverse()
    refuses(plan, "call 0 takes in elements in another order than that of their indices")


def test_rows_that_are_taken_in_by_other_lanes_than_their_sum_has() -> None:
    plan: Plan = made("softmax", "plan")
    verify_form("plan", plan)
    loops = native(plan)[0].loops
    assert loops is not None
    loops.lanes = 8
    refuses(plan, "call 0 does not take in rows by 16 lanes")


def test_a_call_that_does_not_say_what_it_reads() -> None:
    plan: Plan = made("linear_relu_backward", "plan")
    native(plan)[1].reads = frozenset()
    refuses(plan, "call 1 does not say that it reads in0, in3, t0")


def test_a_call_of_a_kernel_that_is_not_there() -> None:
    plan: Plan = made("softmax", "plan")
    plan.functions.clear()
    refuses(plan, "which has no text")


def test_a_parameter_that_names_a_number_the_kernel_does_not_use() -> None:
    plan: Plan = made("adam", "plan")
    native(plan)[0].parameters.append(("argument", 99))
    refuses(plan, "call 0 asks for the argument of 99, which does not exist")
