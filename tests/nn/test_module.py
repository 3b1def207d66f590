"""Module: attributes, errors, traversal, conversion and text,
statement by statement beside PyTorch.
"""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import tidu
from tests.nn.oracle import assert_same_answer, torch

ATTRIBUTES = """
m.register_parameter(3, None)
m.register_parameter('a.b', None)
m.register_parameter('', None)
m.register_parameter('forward', None)
m.register_parameter('a', 3)
m.register_parameter('a', o(2))
m.register_parameter('a', nn.Linear(2, 2))
m.register_buffer(3, None)
m.register_buffer('a.b', None)
m.register_buffer('', None)
m.register_buffer('forward', None)
m.register_buffer('a', 3)
m.add_module(3, None)
m.add_module('a.b', None)
m.add_module('', None)
m.add_module('forward', None)
m.add_module('x', 3)
m.add_module('x', o(2))
setattr(m, 'p', 3)
setattr(m, 'p', o(2))
setattr(m, 'p', nn.Linear(2, 2))
setattr(m, 'p', None)
setattr(m, 'p', nn.Parameter(o(3)))
setattr(m, 'c', 3)
setattr(m, 'c', o(2))
setattr(m, 'c', None)
setattr(m, 'c', nn.Identity())
setattr(m, 'b', 3)
setattr(m, 'b', 'x')
setattr(m, 'b', None)
setattr(m, 'b', o(3))
setattr(m, 'b', nn.Parameter(o(1)))
setattr(m, 'x', nn.Buffer(o(2)))
(setattr(m, 'x', 3), setattr(m, 'x', nn.Parameter(o(1))), 'x' in m.__dict__, list(m._parameters))
(setattr(m, 'x', nn.Linear(1, 1)), setattr(m, 'x', nn.Parameter(o(1))), list(m._modules))
delattr(m, 'p')
delattr(m, 'nothing')
m.nothing
m.get_parameter('p').shape
m.get_parameter('c')
m.get_parameter('c.weight').shape
m.get_parameter('nothing')
m.get_parameter('nothing.p')
m.get_buffer('b').shape
m.get_buffer('p')
m.get_submodule('c')
m.get_submodule('p')
m.get_submodule('nothing')
m.get_submodule('')
m.set_submodule('c', nn.Identity())
m.set_submodule('', nn.Identity())
m.set_submodule('p', nn.Identity())
m.set_submodule('q.r', nn.Identity())
m.train(3)
m.to(T.int64)
m(3)
list(m.state_dict())
[name for name, _ in m.named_parameters()]
[name for name, _ in m.named_parameters(prefix='z', recurse=False)]
[name for name, _ in m.named_buffers()]
[name for name, _ in m.named_modules(prefix='z')]
[name for name, _ in m.named_children()]
[name in dir(m) for name in ('p', 'b', 'c', 'nothing')]
m.half().p.dtype, m.c.weight.dtype, m.b.dtype
m.type(T.float64).b.dtype
m.requires_grad_(False).p.requires_grad
(m.eval().training, m.c.training)
m
nn.Module(3)
nn.Module(a=3)
nn.Linear(2)
nn.Linear(2, 3, foo=1)
""".strip().split("\n")

MAKE = """
def make():
    m = nn.Module()
    m.p, m.b, m.c = nn.Parameter(o(2)), nn.Buffer(o(2)), nn.Linear(1, 1)
    m.register_buffer('temporary', o(1), persistent=False)
    m.register_buffer('empty', None)
    return m
"""


@pytest.mark.parametrize("statement", ATTRIBUTES)
def test_answers_are_those_of_pytorch(statement: str) -> None:
    build = f"(lambda names: (exec({MAKE!r}, names), names['make']())[1])(dict(nn=nn, o=o))"
    assert_same_answer(f"(lambda m: {statement})({build})")


WITHOUT_INIT = """
setattr(m, 'x', nn.Linear(2, 2))
setattr(m, 'x', nn.Parameter(o(2)))
setattr(m, 'x', nn.Buffer(o(2)))
m.register_buffer('x', o(2))
m.register_parameter('x', None)
m.nothing
m(2)
list(m.parameters())
""".strip().split("\n")


@pytest.mark.parametrize("statement", WITHOUT_INIT)
def test_forgetting_to_call_init_is_an_error(statement: str) -> None:
    forgetful = "type('Forgetful', (nn.Module,), {'__init__': lambda self: None})()"
    assert_same_answer(f"(lambda m: {statement})({forgetful})")


PARAMETERS = """
nn.Parameter(o(2))
nn.Parameter(o(2), requires_grad=False)
nn.Parameter()
nn.Buffer(o(1))
type(nn.Parameter(o(2)) + 1).__name__
nn.Parameter(nn.Parameter(o(2)) * 2).is_leaf
isinstance(o(1), nn.Parameter)
isinstance(nn.Parameter(o(1)), T.Tensor)
nn.ParameterList([nn.Parameter(o(2)) * 2])
setattr(nn.Module(), 'x', nn.Parameter(o(2)) * 2)
""".strip().split("\n")


@pytest.mark.parametrize("statement", PARAMETERS)
def test_parameters_are_those_of_pytorch(statement: str) -> None:
    assert_same_answer(statement)


def _shared(library: Any) -> Any:
    class Shared(library.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first = library.nn.Linear(2, 2)
            self.again = self.first
            self.several = library.nn.ModuleList([library.nn.Linear(2, 2)])
            self.own = library.nn.Parameter(library.ones(1))

        def forward(self, x: Any) -> Any:
            return self.first(x) * self.own

    return Shared()


@pytest.mark.parametrize("remove_duplicate", [True, False])
def test_a_module_used_twice_comes_once_unless_asked_for(remove_duplicate: bool) -> None:
    for method in ("named_parameters", "named_modules", "named_buffers"):
        theirs, ours = (
            [
                name
                for name, _ in getattr(_shared(library), method)(remove_duplicate=remove_duplicate)
            ]
            for library in (torch, tidu)
        )
        assert ours == theirs
    assert list(_shared(tidu).state_dict()) == list(_shared(torch).state_dict())


def test_copies_and_pickles_keep_sharing_and_are_apart() -> None:
    model = _shared(tidu)
    copied = copy.deepcopy(model)
    assert copied.first is copied.again
    assert copied.first.weight is not model.first.weight
    copied.first.weight.data.zero_()
    assert model.first.weight.abs().sum().item() > 0
    loaded = pickle.loads(pickle.dumps(tidu.nn.Linear(2, 3)))
    assert isinstance(loaded.weight, tidu.nn.Parameter)
    assert loaded.weight.requires_grad


def test_conversion_keeps_the_parameter_objects_and_converts_gradients() -> None:
    model = tidu.nn.Linear(2, 2)
    weight = model.weight
    model(tidu.ones(1, 2)).sum().backward()
    model.double()
    assert model.weight is weight
    assert weight.dtype is tidu.float64
    assert weight.grad is not None and weight.grad.dtype is tidu.float64
    model(tidu.ones(1, 2).double()).sum().backward()
    assert weight.grad.tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_zero_grad_drops_or_zeroes() -> None:
    model = tidu.nn.Linear(2, 1)
    model(tidu.ones(1, 2)).sum().backward()
    gradient = model.weight.grad
    model.zero_grad(set_to_none=False)
    assert model.weight.grad is gradient and gradient.tolist() == [[0.0, 0.0]]
    model.zero_grad()
    assert model.weight.grad is None


def test_apply_goes_from_the_inside_out() -> None:
    seen: list[str] = []
    _shared(tidu).apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "Linear", "ModuleList", "Shared"]


def test_parameters_and_modules_come_once_and_in_the_order_of_their_names() -> None:
    shared = tidu.nn.Linear(2, 2)
    model = tidu.nn.Sequential(
        shared,
        tidu.nn.Sequential(tidu.nn.Linear(2, 2, bias=False), shared),
        tidu.nn.Bilinear(2, 2, 1),
    )
    model.own = tidu.nn.Parameter(tidu.ones(1))
    model[1].tied = model.own
    assert list(model.modules()) == [module for _, module in model.named_modules()]
    named = [parameter for _, parameter in model.named_parameters()]
    assert [id(p) for p in model.parameters()] == [id(p) for p in named]
    assert [id(p) for p in model.parameters(recurse=False)] == [id(model.own)]


def test_parameters_follow_a_subclass_that_names_others() -> None:
    class Half(tidu.nn.Linear):
        def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
            yield "weight", self.weight

    class Lonely(tidu.nn.Sequential):
        def named_modules(self, *args: Any, **kwargs: Any) -> Any:
            yield "", self

    half = Half(2, 2)
    assert [id(p) for p in half.parameters()] == [id(half.weight)]
    lonely = Lonely(tidu.nn.Linear(2, 2))
    assert list(lonely.modules()) == [lonely]
