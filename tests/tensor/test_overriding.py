"""Classes of the user's that derive from Tensor, or take its functions over."""

from __future__ import annotations

from typing import Any

import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")


def _logging(library: Any, log: list[str]) -> Any:
    class Logging(library.Tensor):  # type: ignore[misc]
        @classmethod
        def __torch_function__(
            cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func is not library.Tensor.__repr__:
                log.append(f"{func.__name__} {[t.__name__ for t in types]} {len(args)}")
            return super().__torch_function__(func, types, args, kwargs or {})

    return Logging


CALLS = [
    "a + 1", "1 + a", "a - 1", "1 - a", "a * 2", "2 * a", "a / 2", "a // 2", "a % 2", "a ** 2",
    "a @ a", "-a", "abs(a)", "a > 1", "a == 1", "plain + a", "a[0]", "a[0].item()", "bool(a[0])",
    "a.sum()", "a.mean(0)", "a.view(1, 2)", "a.relu()", "a.float()", "a.tolist()", "a.size()",
    "a.detach()", "a.new_zeros(2)", "a.max(0)", "a.amax(0)", "a.T", "a.add_(1)", "repr(a)",
    "T.add(a, 1)", "T.cat([plain, a])", "T.stack((a, a))", "T.mean(a)", "T.matmul(plain, a)",
    "T.nn.functional.relu(a)", "T.nn.functional.softmax(a, dim=0)", "T.sort(a)", "T.exp(a, out=a)",
    "a.__setitem__(0, 5.0)", "[x for x in a][1]", "a.unsqueeze_(0)",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call", CALLS)
def test_a_subclass_sees_the_calls_and_gets_the_results(call: str) -> None:
    answers = []
    for library in (torch, tidu):
        log: list[str] = []
        kind = _logging(library, log)
        a = library.tensor([1.0, 2.0]).as_subclass(kind)
        log.clear()
        result = eval(call, {"a": a, "T": library, "plain": library.ones(2)})
        seen = [line for line in log if not line.startswith("dim ")]  # of iterating, in PyTorch
        answers.append((seen, type(result).__name__, str(result)))
    assert answers[1] == answers[0]


def test_a_subclass_without_a_say_passes_its_class_on() -> None:
    answers = []
    for library in (torch, tidu):

        class Mine(library.Tensor):  # type: ignore[misc]
            pass

        class More(Mine):
            pass

        x = Mine([1.0, 2.0])
        weight = library.ones(2, requires_grad=True)
        loss = (weight.as_subclass(More) * x).sum()
        loss.backward()
        made = [x, x + 1, library.exp(x), x[0], x.max(0).values, loss, library.ones(1)]
        answers.append(([type(y).__name__ for y in made], repr(x), weight.grad.tolist()))
        with pytest.raises(TypeError):
            x.as_subclass(int)
    assert answers[1] == answers[0]


def test_layers_pass_the_class_on() -> None:
    answers = []
    for library in (torch, tidu):
        nn = library.nn

        class Mine(library.Tensor):  # type: ignore[misc]
            pass

        library.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.BatchNorm1d(3), nn.Linear(3, 1))
        seen: list[str] = []
        model[1].register_forward_hook(lambda m, x, out, seen=seen: seen.append(type(out).__name__))
        out = model(library.tensor([[1.0, 2.0], [3.0, -1.0]]).as_subclass(Mine))
        out.sum().backward()
        plain = model(library.ones(2, 2))
        numbers = [round(x, 4) for x in model[3].weight.grad.flatten().tolist()]
        answers.append((type(out).__name__, seen, type(plain).__name__, numbers))
    assert answers[1] == answers[0]


def test_parameters_take_nothing_over() -> None:
    for library in (torch, tidu):

        class Weight(library.nn.Parameter):  # type: ignore[misc]
            pass

        x = Weight(library.ones(2))
        assert isinstance(x, Weight)
        assert type(x + 1) is library.Tensor
        assert type(library.exp(x)) is library.Tensor


def test_objects_that_are_no_tensors_take_functions_over() -> None:
    """The classes of PyTorch's notes on extending it: with metadata, and of one number."""
    answers = []
    for library in (torch, tidu):
        handlers: dict[Any, Any] = {}

        class Diagonal:
            def __init__(self, size: int, value: float) -> None:
                self.size, self.value = size, value

            @classmethod
            def __torch_function__(
                cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                if func not in handlers:
                    return NotImplemented
                return handlers[func](*args, **(kwargs or {}))

        class WithMetadata:
            def __init__(self, data: Any, metadata: str) -> None:
                self.data, self.metadata = data, metadata

            @classmethod
            def __torch_function__(
                cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                metadata = next(a.metadata for a in args if isinstance(a, cls))
                plain = [a.data if isinstance(a, cls) else a for a in args]
                return cls(func(*plain, **(kwargs or {})), metadata)

        handlers[library.mean] = lambda x: x.value / x.size
        mean = library.mean(Diagonal(5, 2.0))
        with pytest.raises(TypeError, match="all __torch_function__ handlers returned NotImpl"):
            library.add(Diagonal(5, 2.0), 1)
        x = WithMetadata(library.tensor([[1.0, -2.0], [3.0, 4.0]]), "meters")
        functional = library.nn.functional
        made = [library.add(x, 1), library.mul(library.ones(2), x), functional.relu(x)]
        answers.append((mean, [(y.metadata, y.data.tolist()) for y in made]))
    assert answers[1] == answers[0]


def test_functions_of_pytorch_refuse_our_tensors() -> None:
    with pytest.raises(TypeError):
        torch.exp(tidu.ones(2))


def test_functions_of_the_user_can_be_taken_over_as_well() -> None:
    for library in (torch, tidu):
        log: list[str] = []
        kind = _logging(library, log)

        def double(x: Any, library: Any = library) -> Any:
            if library.overrides.has_torch_function((x,)):
                return library.overrides.handle_torch_function(double, (x,), x)
            return x * 2

        made = double(library.ones(2).as_subclass(kind))
        assert type(made) is kind
        assert log == ["double ['Logging'] 1"]
        assert double(library.ones(2)).tolist() == [2.0, 2.0]
        assert library.overrides.is_tensor_like(made)
        assert not library.overrides.is_tensor_like([1.0])


def test_tensors_are_made_inside_a_device() -> None:
    for library in (torch, tidu):
        with library.device("cpu") as chosen:
            made = library.nn.Linear(2, 2).weight
        assert made.device == chosen == library.device("cpu")
        library.set_default_device("cpu")
        library.set_default_device(None)
    with pytest.raises(AssertionError, match="not compiled with CUDA"), tidu.device("cuda"):
        pass
