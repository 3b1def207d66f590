"""Interpolation, sampling at positions, shuffles and folds beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidu
from tests.nn.numeric import compare
from tests.nn.oracle import assert_same_answer

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


@st.composite
def interpolations(draw: Any) -> tuple[str, dict[str, Any], str]:
    n = draw(st.sampled_from([1, 2, 2, 3]))
    smooth = ["bicubic", "lanczos"] if n == 2 else []
    mode = draw(st.sampled_from(["nearest", "nearest-exact", "area", LINEAR[n], *smooth]))
    antialias = mode == "lanczos" or (
        n == 2 and mode in (LINEAR[n], *smooth) and draw(st.booleans())
    )
    sizes = draw(st.lists(st.integers(2, 7), min_size=n, max_size=n))
    options = {"mode": mode}
    if draw(st.booleans()):
        # PyTorch's smoothing filters go wrong where the result is one element wide.
        least = 2 if antialias else 1
        options["size"] = draw(st.lists(st.integers(least, 12), min_size=n, max_size=n))
    else:
        factor = st.sampled_from([1.0, 1.3, 1.5, 2.0, 2.6, 3.0] + ([] if antialias else [0.5, 0.7]))
        factors = draw(st.lists(factor, min_size=n, max_size=n))
        if [int(size * f) for size, f in zip(sizes, factors, strict=True)] == sizes:
            factors = [1.0] * n  # else PyTorch's bicubic gradient is that of the identity
        options["scale_factor"] = factors
        options["recompute_scale_factor"] = draw(st.sampled_from([None, True, False]))
    if mode in (LINEAR[n], "bicubic"):
        options["align_corners"] = draw(st.sampled_from([None, True, False]))
    if antialias:
        options["antialias"] = True
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    x = rng.standard_normal((draw(st.integers(1, 2)), 2, *sizes))
    return f"F.interpolate(x, **{options})", {"x": x}, draw(st.sampled_from(["float64", "float32"]))


@given(interpolations())
@settings(max_examples=100, deadline=None)
def test_interpolation(case: tuple[str, dict[str, Any], str]) -> None:
    statement, arrays, dtype = case
    order = 2 if dtype == "float64" else 1
    inexact = "antialias" in statement or ("'nearest'" in statement and arrays["x"].ndim != 4)
    if inexact and "scale_factor" in statement:
        order = 0  # PyTorch differentiates another function than it computes
    compare(statement, arrays, dtype=dtype, order=order)


def test_other_dtypes_and_old_names() -> None:
    rng = np.random.default_rng(0)
    image = {"x": rng.standard_normal((1, 2, 4, 5))}
    compare("F.interpolate(x, scale_factor=2, mode='bilinear')", image, dtype="float16", order=1)
    compare("F.interpolate(x, size=3)", {"x": rng.integers(0, 200, (1, 2, 4, 5), np.uint8)})
    compare("F.upsample(x, 7, mode='bilinear')", image)
    compare("F.upsample_nearest(x, scale_factor=2)", image)
    compare("F.upsample_bilinear(x, (3, 4))", image)


def test_smoothing_to_one_element_is_the_weighted_mean() -> None:
    x = np.random.default_rng(0).standard_normal((1, 1, 3, 3))
    result = tidu.nn.functional.interpolate(
        tidu.tensor(x), size=(3, 1), mode="bilinear", antialias=True
    )
    weights = np.array([2 / 3, 1, 2 / 3]) / (7 / 3)
    np.testing.assert_allclose(result.numpy()[0, 0, :, 0], x[0, 0] @ weights)


@st.composite
def samplings(draw: Any) -> tuple[str, dict[str, Any]]:
    n = draw(st.sampled_from([2, 2, 3]))
    mode = draw(st.sampled_from(["bilinear", "nearest", *(["bicubic"] if n == 2 else [])]))
    padding = draw(st.sampled_from(["zeros", "border", "reflection"]))
    sizes, outs = (draw(st.lists(st.integers(1, 4), min_size=n, max_size=n)) for _ in range(2))
    batch, channels = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    arrays = {
        "x": rng.standard_normal((batch, channels, *sizes)),
        "grid": 1.3 * rng.standard_normal((batch, *outs, n)),
    }
    corners = draw(st.booleans())
    return f"F.grid_sample(x, grid, '{mode}', '{padding}', {corners})", arrays


@given(samplings())
@settings(max_examples=60, deadline=None)
def test_sampling_at_positions(case: tuple[str, dict[str, Any]]) -> None:
    compare(*case)


@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("sizes", [(3, 4), (1, 5), (2, 3, 4)])
def test_affine_grids(sizes: tuple[int, ...], corners: bool) -> None:
    n = len(sizes)
    theta = np.random.default_rng(0).standard_normal((2, n, n + 1))
    compare(f"F.affine_grid(t, (2, 3, *{sizes}), {corners})", {"t": theta})


@st.composite
def folds(draw: Any) -> tuple[str, dict[str, Any]]:
    kernel, stride, dilation, padding = (
        draw(st.tuples(st.integers(low, high), st.integers(low, high)))
        for low, high in ((1, 3), (1, 3), (1, 2), (0, 2))
    )
    sizes = tuple(
        d * (k - 1) + 1 + draw(st.integers(0, 4)) for k, d in zip(kernel, dilation, strict=True)
    )
    batch = draw(st.sampled_from([(), (1,), (2,)]))
    x = np.random.default_rng(draw(st.integers(0, 1000))).standard_normal((*batch, 2, *sizes))
    numbers = f"{kernel}, {dilation}, {padding}, {stride}"
    columns = f"F.unfold(x, {numbers})"
    if draw(st.booleans()):
        columns = f"F.fold({columns}, {sizes}, {numbers})"
    return columns, {"x": x}


@given(folds())
@settings(max_examples=60, deadline=None)
def test_folds(case: tuple[str, dict[str, Any]]) -> None:
    compare(*case)


@given(
    st.lists(st.integers(1, 5), max_size=3),
    st.integers(-3, 2),
    st.integers(0, 4),
    st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_unfolding_one_dimension(shape: list[int], dim: int, size: int, step: int) -> None:
    rank = max(len(shape), 1)
    dim = dim % rank
    size = min(size, shape[dim] if shape else 1)
    x = np.random.default_rng(0).standard_normal(shape)
    compare(f"x.unfold({dim}, {size}, {step})", {"x": np.asarray(x)})


def test_unfolded_windows_are_a_view() -> None:
    for library in (torch, tidu):
        x = library.zeros(6)
        x.unfold(0, 2, 3)[1] = 1.0
        assert x.tolist() == [0, 0, 0, 1, 1, 0]


def test_shuffles() -> None:
    rng = np.random.default_rng(0)
    compare("F.pixel_shuffle(x, 2)", {"x": rng.standard_normal((2, 8, 3, 2))})
    compare("F.pixel_unshuffle(x, 2)", {"x": rng.standard_normal((2, 2, 4, 6))})
    compare("F.channel_shuffle(x, 3)", {"x": rng.standard_normal((2, 6, 3))})


ERRORS = """
F.interpolate(o(2, 3, 4, 4), 3, 2)
F.interpolate(o(2, 3, 4, 4))
F.interpolate(o(2, 3, 4, 4), 3, mode='linear')
F.interpolate(o(2, 3, 4), 3, mode='bilinear')
F.interpolate(o(2, 3, 4), 3, mode='foo')
F.interpolate(o(2, 3), 3)
F.interpolate(o(2, 3, 4, 4), 3, mode='lanczos')
F.interpolate(o(2, 3, 4, 4), 3, recompute_scale_factor=True)
F.interpolate(o(2, 0, 4, 4), 3)
F.grid_sample(o(2, 3, 4, 4), o(3, 5, 6, 2), align_corners=False)
F.grid_sample(o(2, 3, 4, 4), o(2, 5, 6, 3), align_corners=False)
F.grid_sample(o(2, 3, 4, 4), o(2, 5, 6, 2), 'foo', align_corners=False)
F.grid_sample(o(2, 3, 4, 4), o(2, 5, 6, 2), 'bilinear', 'foo', align_corners=False)
F.grid_sample(o(2, 3, 4, 4, 4), o(2, 5, 6, 7, 3), mode='bicubic', align_corners=False)
F.grid_sample(o(2, 3, 4, 4), o(2, 5, 6, 2).double(), align_corners=False)
F.affine_grid(o(2, 3, 4), (2, 3, 4, 5), align_corners=True)
F.affine_grid(o(2, 3, 3), (2, 3, 4), align_corners=True)
F.affine_grid(o(2, 2, 3).long(), (2, 3, 4, 5), align_corners=True)
F.affine_grid(o(2, 2, 3), (2, 3, 0, 5), align_corners=True)
F.unfold(o(2, 3, 6, 6), 9)
F.unfold(o(2, 3, 6, 6), 2, padding=-1)
F.unfold(o(2, 3, 6, 6), 2, stride=0)
F.fold(o(2, 12, 24), (6, 6), 2)
F.fold(o(2, 13, 25), (6, 6), 2)
F.fold(o(25), (6, 6), 2)
F.pixel_shuffle(o(3, 3), 2)
F.pixel_shuffle(o(7, 3, 3), 2)
F.pixel_shuffle(o(8, 3, 3), 0)
F.pixel_unshuffle(o(2, 2, 5, 6), 2)
F.pixel_unshuffle(o(2, 2, 6, 5), 2)
F.channel_shuffle(o(2, 4), 2)
F.channel_shuffle(o(2, 5, 5), 2)
F.channel_shuffle(o(2, 5, 5), 0)
o(3, 7).unfold(1, 8, 2)
o(3, 7).unfold(1, 3, 0)
o(3, 7).unfold(2, 3, 1)
""".strip().splitlines()


@pytest.mark.parametrize("statement", ERRORS)
def test_errors(statement: str) -> None:
    assert_same_answer(statement)


OTHER_ERRORS = """
F.interpolate(o(2, 3, 4, 4), 3, align_corners=True)
F.interpolate(o(2, 3, 4, 4), (3,))
F.interpolate(o(2, 3, 4, 4), scale_factor=(3.0,))
F.interpolate(o(2, 3, 4, 4), 3, antialias=True)
F.interpolate(o(2, 3, 4, 4), 0)
F.interpolate(o(2, 3, 4, 4), 2.5)
F.interpolate(o(2, 3, 4, 4).long(), 2)
F.grid_sample(o(2, 3, 0, 4), o(2, 5, 6, 2), align_corners=False)
""".strip().splitlines()


@pytest.mark.parametrize("statement", OTHER_ERRORS)
def test_errors_in_other_words(statement: str) -> None:
    kinds = []
    for library in (torch, tidu):
        with pytest.raises((TypeError, ValueError, RuntimeError, NotImplementedError)) as caught:
            eval(statement, {"F": library.nn.functional, "o": library.ones})
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


LAYERS = """
nn.Upsample((3, 4))
nn.Upsample(scale_factor=2)
nn.Upsample(scale_factor=(2, 3), mode='bilinear')
nn.Upsample(size=(3, 4), mode='bicubic', align_corners=True)
nn.Upsample(scale_factor=2, recompute_scale_factor=True)
nn.UpsamplingNearest2d(3)
nn.UpsamplingBilinear2d(scale_factor=2)
nn.PixelShuffle(2)
nn.PixelUnshuffle(2)
nn.ChannelShuffle(2)
nn.Unfold((2, 3), stride=2)
""".strip().splitlines()


@pytest.mark.parametrize("make", LAYERS)
def test_layers(make: str) -> None:
    assert_same_answer(make)
    compare(f"{make}(x)", {"x": np.random.default_rng(0).standard_normal((2, 4, 6, 4))})


def test_the_layer_that_folds() -> None:
    assert_same_answer("nn.Fold((4, 5), 2)")
    x = np.random.default_rng(0).standard_normal((2, 8, 12))
    compare("nn.Fold((4, 5), 2)(x)", {"x": x})
