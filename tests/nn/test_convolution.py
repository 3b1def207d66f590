"""Convolutions, as functions and as layers, beside PyTorch's."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidu
from tests.nn.numeric import compare
from tests.nn.oracle import assert_same_answer, assert_same_results_and_gradients, both, pair
from tidu.ops.windows import columns

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")


def numbers(rng: np.random.Generator, *shape: int) -> Any:
    return rng.standard_normal(shape)


@st.composite
def convolutions(draw: Any) -> tuple[str, dict[str, Any]]:
    """A call of conv1d, conv2d or conv3d, and its arrays."""
    n, groups = draw(st.sampled_from([1, 2, 2, 3])), draw(st.sampled_from([1, 1, 2]))
    c, o = (groups * draw(st.integers(1, 3)) for _ in range(2))

    def each(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=n, max_size=n))

    kernel, stride, dilation, padding = each(1, 3), each(1, 3), each(1, 2), each(0, 2)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    sizes = [
        max(s - 2 * p, 1) + draw(st.integers(0, 3)) for s, p in zip(spans, padding, strict=True)
    ]
    batch = draw(st.sampled_from([(), (1,), (2,), (3,)]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    arrays = {"x": numbers(rng, *batch, c, *sizes), "w": numbers(rng, o, c // groups, *kernel)}
    if draw(st.booleans()):
        arrays["b"] = numbers(rng, o)
    bias = "b" if "b" in arrays else "None"
    if all(s == 1 for s in stride) and draw(st.booleans()):
        padding = draw(st.sampled_from(["'same'", padding]))
    return f"F.conv{n}d(x, w, {bias}, {stride}, {padding}, {dilation}, {groups})", arrays


@st.composite
def transposed_convolutions(draw: Any) -> tuple[str, dict[str, Any]]:
    n, groups = draw(st.sampled_from([1, 2, 2, 3])), draw(st.sampled_from([1, 1, 2]))
    c, o = (groups * draw(st.integers(1, 3)) for _ in range(2))

    def each(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=n, max_size=n))

    kernel, stride, dilation, sizes = each(1, 3), each(1, 3), each(1, 2), each(2, 4)
    extra = [draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)]
    padding = [draw(st.integers(0, d * (k - 1))) for k, d in zip(kernel, dilation, strict=True)]
    # The result has at least one element.
    padding = [
        min(p, ((m - 1) * s + d * (k - 1)) // 2)
        for p, m, s, d, k in zip(padding, sizes, stride, dilation, kernel, strict=True)
    ]
    batch = draw(st.sampled_from([(), (1,), (2,), (3,)]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    arrays = {"x": numbers(rng, *batch, c, *sizes), "w": numbers(rng, c, o // groups, *kernel)}
    if draw(st.booleans()):
        arrays["b"] = numbers(rng, o)
    bias = "b" if "b" in arrays else "None"
    call = f"F.conv_transpose{n}d(x, w, {bias}, {stride}, {padding}, {extra}, {groups}, {dilation})"
    return call, arrays


@given(convolutions())
@settings(max_examples=60, deadline=None)
def test_convolutions_and_their_derivatives(case: tuple[str, dict[str, Any]]) -> None:
    compare(*case)


@given(transposed_convolutions())
@settings(max_examples=60, deadline=None)
def test_transposed_convolutions_and_their_derivatives(case: tuple[str, dict[str, Any]]) -> None:
    compare(*case)


def test_large_batches_are_cut_into_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    arrays = {"x": numbers(rng, 5, 3, 6, 6), "b": numbers(rng, 4)}
    for limit in (1, 1000, 2000):
        monkeypatch.setattr(columns, "_COLUMNS", limit)
        compare("F.conv2d(x, w, b, 2, 1)", {**arrays, "w": numbers(rng, 4, 3, 3, 3)})
        compare("F.conv2d(x, w, None, 1, 1)", {"x": arrays["x"], "w": numbers(rng, 2, 3, 3, 3)})
        compare("F.conv_transpose2d(x, w, b, 2, 1)", {**arrays, "w": numbers(rng, 3, 4, 3, 3)})


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_other_dtypes(dtype: str) -> None:
    rng = np.random.default_rng(0)
    arrays = {"x": numbers(rng, 2, 3, 6, 6), "w": numbers(rng, 4, 3, 3, 3), "b": numbers(rng, 4)}
    compare("F.conv2d(x, w, b, padding=1)", arrays, dtype=dtype, order=1)


def test_integers_are_convolved_exactly() -> None:
    rng = np.random.default_rng(0)
    arrays = {"x": rng.integers(-9, 9, (2, 3, 6, 6)), "w": rng.integers(-9, 9, (4, 3, 3, 3))}
    compare("F.conv2d(x, w)", arrays)


def test_empty_batches_keep_their_shapes() -> None:
    x, w = np.zeros((0, 3, 6, 6)), np.zeros((4, 3, 3, 3))
    compare("F.conv2d(x, w, None, 2, 1)", {"x": x, "w": w})
    compare("F.conv_transpose2d(x, w, None, 2)", {"x": x, "w": w.swapaxes(0, 1)})


def test_infinities_and_nans_stay_where_they_are() -> None:
    x = np.ones((1, 1, 5, 5))
    x[0, 0, 0, 0], x[0, 0, 4, 4] = np.nan, np.inf
    compare("F.conv2d(x, w)", {"x": x, "w": np.ones((1, 1, 2, 2))}, order=0)


@pytest.mark.parametrize("extreme", [np.inf, np.nan, 3e38])
def test_what_is_not_finite_spoils_no_other_sum(extreme: float) -> None:
    x, grad = np.ones((2, 3, 20, 20), np.float32), np.ones((2, 4, 20, 20), np.float32)
    x[:, 1, 3, :2] = extreme
    geometry = columns.Geometry((1, 1), ((0, 0), (0, 0)), (1, 1))
    with np.errstate(all="ignore"):
        found = columns.weight_numpy(x, grad, (1, 1), geometry)[:, :, 0, 0]
        made = columns.convolution_numpy(
            x[:, :2], np.ones((5, 2, 1, 1), np.float32), None, geometry
        )
    assert not np.isfinite(found[:, 1]).any()
    np.testing.assert_array_equal(found[:, (0, 2)], 800)
    assert np.count_nonzero(made == 2) == made.size - 2 * 5 * 2


def test_aliases_of_torch() -> None:
    rng = np.random.default_rng(0)
    arrays = {"x": numbers(rng, 2, 3, 5), "w": numbers(rng, 4, 3, 3), "b": numbers(rng, 4)}
    compare("T.conv1d(x, w, b)", arrays)
    compare("T.convolution(x, w, b, [1], [0], [1], False, [0], 1)", arrays)
    transposed = {"x": numbers(rng, 5, 2, 3), "w": numbers(rng, 3, 3, 4), "b": numbers(rng, 4)}
    compare("T.conv_tbc(x, w, b, 1)", transposed)


ERRORS = """
F.conv2d(o(8, 3, 28, 28), o(16, 1, 5, 5))
F.conv2d(o(8, 3, 28, 28), o(16, 2, 5, 5), groups=2)
F.conv2d(o(8, 3, 28, 28), o(16, 3, 5, 5), o(15))
F.conv2d(o(8, 3), o(16, 3, 5, 5))
F.conv2d(o(8, 3, 4, 5, 6), o(16, 3, 5, 5))
F.conv2d(o(8, 3, 4, 4), o(16, 3, 5, 5))
F.conv1d(o(8, 3, 4), o(16, 3, 5))
F.conv2d(o(8, 3, 9, 9), o(16, 3, 5, 5), stride=0)
F.conv2d(o(8, 3, 9, 9), o(16, 3, 5, 5), padding=-1)
F.conv2d(o(8, 3, 9, 9), o(16, 3, 5, 5), dilation=0)
F.conv2d(o(8, 3, 9, 9), o(16, 3, 5, 5), groups=0)
F.conv2d(o(8, 3, 9, 9), o(16, 3, 5, 5), stride=(1, 2, 3))
F.conv2d(o(8, 3, 9, 9), o(16, 3, 5, 5), padding=(1, 2, 3))
F.conv2d(o(8, 3, 9, 9), o(16, 3, 5, 5), stride=2, padding='same')
F.conv2d(o(8, 3, 9, 9), o(16, 3, 5, 5), padding='foo')
F.conv2d(o(8, 3, 9, 9).double(), o(16, 3, 5, 5))
F.conv_transpose2d(o(2, 5, 8, 8), o(4, 3, 3, 3))
F.conv_transpose2d(o(2, 4, 8, 8), o(4, 3, 3, 3), o(4))
F.conv_transpose2d(o(2, 4), o(4, 3, 3, 3))
F.conv_transpose2d(o(2, 4, 8, 8), o(4, 3, 3, 3), stride=2, output_padding=-1)
F.conv_transpose2d(o(2, 4, 8, 8), o(4, 3, 3, 3), output_padding=(0, 0, 0))
nn.Conv2d(3, 4, 3, groups=2)
nn.Conv2d(4, 3, 3, groups=2)
nn.Conv2d(3, 4, 3, groups=0)
nn.Conv2d(3, 4, 3, padding='same', stride=2)
nn.ConvTranspose2d(3, 4, 3, padding_mode='reflect')
nn.ConvTranspose2d(3, 4, 3)(o(1, 3, 4, 4), output_size=(7, 7))
nn.ConvTranspose2d(3, 4, 3, 2)(o(1, 3, 4, 4), output_size=(10,))
nn.LazyConv2d(4, 3, groups=2)(o(1, 3, 5, 5))
""".strip().splitlines()


@pytest.mark.parametrize("statement", ERRORS)
def test_errors(statement: str) -> None:
    assert_same_answer(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "F.conv2d(o(2, 3, 9, 9), o(4, 3, 5, 5), stride=1.5)",
        "F.conv2d(o(8, 3, 9, 9), o(16, 3, 5, 5), 2)",
        "F.conv2d(o(8, 4, 9, 9), o(15, 2, 5, 5), groups=2)",
        "nn.Conv2d(3, 4, 3, padding='foo')",
    ],
)
def test_errors_in_other_words(statement: str) -> None:
    kinds = []
    for library in (torch, tidu):
        scope = {"F": library.nn.functional, "nn": library.nn, "o": library.ones}
        with pytest.raises((TypeError, ValueError, RuntimeError)) as caught:
            eval(statement, scope)
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


def test_a_wrong_number_of_channels_names_both_sides_and_the_remedy() -> None:
    with pytest.raises(RuntimeError, match=r"weight of size \[16, 1, 5, 5\].*in_channels=3"):
        tidu.nn.Conv2d(1, 16, 5)(tidu.ones(8, 3, 28, 28))


LAYERS = """
nn.Conv1d(4, 6, 3)
nn.Conv1d(4, 6, 3, 2, 1, 2, 2, False)
nn.Conv2d(4, 6, 3, padding='same')
nn.Conv2d(4, 6, (3, 2), stride=2, padding=(1, 0), groups=2)
nn.Conv2d(4, 6, 3, padding=1, padding_mode='reflect')
nn.Conv2d(4, 6, 3, padding=(2, 1), padding_mode='replicate')
nn.Conv2d(4, 6, (2, 3), padding='same', padding_mode='circular')
nn.Conv3d(4, 2, (1, 3, 2), bias=False)
nn.ConvTranspose1d(4, 6, 3, 2, 1, 1)
nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, False, 2)
nn.ConvTranspose3d(4, 2, 2, 2)
""".strip().splitlines()


@pytest.mark.parametrize("make", LAYERS)
def test_layers(make: str) -> None:
    n = int(make.partition("(")[0][-2])
    theirs, ours = both(make)
    x = pair(np.random.default_rng(0), 2, 4, *(5, 6, 4)[:n])
    assert_same_results_and_gradients((theirs(x[0]), ours(x[1])), [x], (theirs, ours), make)


@pytest.mark.parametrize("make", [*LAYERS, "nn.LazyConv2d(4, 3)", "nn.LazyConvTranspose2d(4, 3)"])
def test_representations(make: str) -> None:
    assert_same_answer(make)


@pytest.mark.parametrize("make", LAYERS)
def test_initial_values(make: str) -> None:
    assert_same_answer(f"[p.flatten()[:8] for p in {make}.parameters()]")


@pytest.mark.parametrize("name", [f"Conv{t}{n}d" for t in ("", "Transpose") for n in (1, 2, 3)])
def test_lazy_layers_learn_their_channels(name: str) -> None:
    n = int(name[-2])
    for bias in (True, False):
        layers = []
        for library in (torch, tidu):
            library.manual_seed(0)
            layer = getattr(library.nn, f"Lazy{name}")(4, 3, stride=2, bias=bias)
            layer(library.ones(2, 6, *(5,) * n))
            layers.append(layer)
        theirs, ours = layers
        assert type(ours) is getattr(tidu.nn, name)
        assert repr(ours) == repr(theirs)
        for (key, want), got in zip(
            theirs.state_dict().items(), ours.state_dict().values(), strict=True
        ):
            np.testing.assert_allclose(got.numpy(), want.numpy(), err_msg=key)


@pytest.mark.parametrize("sizes", ["(10, 10)", "(1, 4, 9, 10)"])
def test_transposed_layers_take_an_output_size(sizes: str) -> None:
    assert_same_answer(f"nn.ConvTranspose2d(3, 4, 3, 2)(o(1, 3, 4, 4), output_size={sizes}).shape")


def test_layers_survive_pickling() -> None:
    layer = tidu.nn.Conv2d(3, 4, 3, padding="same", padding_mode="reflect")
    again = pickle.loads(pickle.dumps(layer))
    x = tidu.ones(1, 3, 5, 5)
    assert repr(again) == repr(layer)
    np.testing.assert_array_equal(again(x).detach().numpy(), layer(x).detach().numpy())


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 2}, {"stride": 2, "padding": 1, "groups": 2}, {"dilation": 2, "padding": 2}],
    ids=str,
)
def test_gradients_as_functions_are_those_of_the_layer(n: int, options: dict[str, Any]) -> None:
    groups = options.get("groups", 1)
    rng = np.random.default_rng(n)
    x, weight = numbers(rng, 2, 4, *(6,) * n), numbers(rng, 6, 4 // groups, *(3,) * n)
    shape = getattr(tidu, f"conv{n}d")(tidu.tensor(x), tidu.tensor(weight), **options).shape
    y = numbers(rng, *shape)
    for name, run in (
        ("input", lambda f, *t: f(x.shape, t[1], t[2], **options)),
        ("weight", lambda f, *t: f(t[0], weight.shape, t[2], **options)),
    ):
        found = []
        for library in (torch, tidu):
            tensors = [library.tensor(a, requires_grad=True) for a in (x, weight, y)]
            result = run(getattr(library.nn.grad, f"conv{n}d_{name}"), *tensors)
            used = [t for t in tensors if t is not tensors[name == "weight"]]
            gradients = library.autograd.grad((result * result).sum(), used)
            found.append([t.detach().numpy() for t in (result, *gradients)])
        for got, want in zip(found[1], found[0], strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


def test_gradients_of_a_convolution_that_there_is_not_are_refused() -> None:
    weight = tidu.ones(2, 3, 3, 3)
    for sizes in ([1, 3, 6, 5], [2, 3, 5, 5], [1, 4, 5, 5]):
        with pytest.raises(RuntimeError, match="grad_output has shape"):
            tidu.nn.grad.conv2d_input(sizes, weight, tidu.ones(1, 2, 3, 3))
