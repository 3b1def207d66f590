"""A compiled step gives the numbers of the ordinary one, whatever changes around it.

Each scenario runs twice, with and without compile(), and each asserts that calls were replayed: a
stale program, or one that was never used, fails.
"""

from __future__ import annotations

import copy
import gc
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tidu as torch
from tidu import execute, nn
from tidu.nn import functional as F
from tidu.programs import programs
from tidu.replay import program


@pytest.fixture(autouse=True)
def _one_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute.engine, "tier", 0)


def replayed(function: Any) -> int:
    """How many calls of a compiled function were replayed."""
    return sum(plan.replayed for plan in function.site.plans)


class Training:
    """A small network, its optimizer, and a step over both."""

    def __init__(self, optimizer: str = "SGD", dropout: float = 0.0, **options: Any) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 1)
        )
        options = options or {"lr": 0.1, "momentum": 0.9}
        self.optimizer = getattr(torch.optim, optimizer)(self.model.parameters(), **options)
        self.x, self.y = torch.randn(16, 4), torch.randn(16, 1)
        torch.manual_seed(1)
        model, optimizer_ = self.model, self.optimizer

        def step(x: Any, y: Any) -> Any:
            optimizer_.zero_grad()
            loss = ((model(x) - y) ** 2).mean()
            loss.backward()
            optimizer_.step()
            return loss

        self.step: Any = step

    def numbers(self) -> list[list[float]]:
        """Everything that a step changes."""
        tensors = [*self.model.parameters(), *self.model.buffers()]
        tensors += [p.grad for p in self.model.parameters() if p.grad is not None]
        for state in self.optimizer.state.values():
            tensors += [x for x in state.values() if isinstance(x, torch.Tensor)]
        return [x.detach().flatten().tolist() for x in tensors] + [torch.rand(2).tolist()]


def both(scenario: Callable[[Training], Any], **options: Any) -> Any:
    """Run a scenario with and without compile(); returns the compiled step."""
    plain, compiled = Training(**options), None
    expected = scenario(plain), plain.numbers()
    again = Training(**options)
    compiled = again.step = torch.compile(again.step)
    assert_same((scenario(again), again.numbers()), expected)
    return compiled


def assert_same(found: Any, expected: Any) -> None:
    """Equal structures of numbers, up to what the order of a sum may do."""
    if isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for x, y in zip(found, expected, strict=True):
            assert_same(x, y)
    else:
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def losses(t: Training, count: int) -> list[float]:
    return [t.step(t.x + 0.01 * i, t.y).item() for i in range(count)]


ONE_BY_ONE = [
    *("SGD", "Adam", "AdamW", "NAdam", "RAdam", "ASGD", "Adagrad", "RMSprop", "Rprop"),
    *("Adamax", "Adadelta"),
]


@pytest.mark.parametrize("optimizer", ONE_BY_ONE)
def test_parameters_optimizer_state_and_statistics_go_on(optimizer: str) -> None:
    step = both(lambda t: losses(t, 20), optimizer=optimizer, lr=0.01)
    assert replayed(step) > 0


def test_every_optimizer_is_tried() -> None:
    names = {
        name
        for name, x in vars(torch.optim).items()
        if isinstance(x, type) and issubclass(x, torch.optim.Optimizer)
    }
    # These read numbers, or work on gradients of embeddings only.
    assert names - set(ONE_BY_ONE) <= {"Optimizer", "LBFGS", "SparseAdam", "Adafactor", "Muon"}


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_all_options_of_an_optimizer_may_change_between_calls(optimizer: str) -> None:
    def scenario(t: Training) -> list[float]:
        found = losses(t, 8)
        for name in ("lr", "weight_decay"):
            for group in t.optimizer.param_groups:
                group[name] = 0.05
            found += losses(t, 8)
        return found

    assert replayed(both(scenario, optimizer=optimizer, lr=0.01)) > 0


def test_dropout_draws_the_masks_of_the_ordinary_step() -> None:
    assert replayed(both(lambda t: losses(t, 20), dropout=0.4)) > 0


def test_seeding_between_calls_reaches_the_replayed_draws() -> None:
    def scenario(t: Training) -> list[float]:
        found = losses(t, 8)
        torch.manual_seed(7)
        return found + losses(t, 5)

    assert replayed(both(scenario, dropout=0.4)) > 0


def test_random_numbers_of_every_kind_are_drawn_anew() -> None:
    def run(compiled: bool) -> list[Any]:
        torch.manual_seed(0)

        def draw(x: Any) -> Any:
            noise = torch.rand(3) + torch.randn(3) + torch.randint(0, 9, (3,)).float()
            noise = noise + torch.randperm(3).float() + torch.empty(3).uniform_(0, 2)
            return x * noise + F.dropout(x, 0.5) + F.gumbel_softmax(x) + torch.bernoulli(x, 0.3)

        function = torch.compile(draw) if compiled else draw
        found = [function(torch.arange(3.0)).tolist() for _ in range(10)]
        assert not compiled or replayed(function) > 0
        return [*found, torch.rand(2).tolist()]

    assert_same(run(True), run(False))


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("schedule", ["StepLR", "OneCycleLR", "CosineAnnealingLR"])
def test_learning_rate_schedules_are_followed(schedule: str, inside: bool) -> None:
    arguments = {
        "StepLR": {"step_size": 3, "gamma": 0.5},
        "OneCycleLR": {"max_lr": 0.5, "total_steps": 60},
        "CosineAnnealingLR": {"T_max": 12},
    }[schedule]

    def scenario(t: Training) -> list[float]:
        scheduler = getattr(torch.optim.lr_scheduler, schedule)(t.optimizer, **arguments)
        found = []
        for i in range(20):
            found.append(t.step(t.x + 0.01 * i, t.y).item())
            scheduler.step()
            found.append(scheduler.get_last_lr()[0])
        return found

    def scenario_inside(t: Training) -> list[float]:
        scheduler = getattr(torch.optim.lr_scheduler, schedule)(t.optimizer, **arguments)
        inner = t.step.site.function if hasattr(t.step, "site") else t.step

        def step(x: Any, y: Any) -> Any:
            loss = inner(x, y)
            scheduler.step()
            return loss

        t.step = torch.compile(step) if hasattr(t.step, "site") else step
        found = losses(t, 20)
        if hasattr(t.step, "site"):
            assert replayed(t.step) > 0
        return [*found, scheduler.get_last_lr()[0], scheduler.last_epoch]

    step = both(scenario_inside if inside else scenario)
    assert inside or replayed(step) > 0


def test_train_and_eval_switch_a_replayed_step() -> None:
    def scenario(t: Training) -> list[float]:
        found = losses(t, 8)
        t.model.eval()
        found += losses(t, 8)
        t.model.train()
        return found + losses(t, 8)

    assert replayed(both(scenario, dropout=0.4)) > 0


def test_attributes_of_modules_are_noticed() -> None:
    def scenario(t: Training) -> list[float]:
        found = losses(t, 8)
        t.model[3].p = 0.9
        found += losses(t, 3)
        t.model[2] = nn.Tanh()
        return found + losses(t, 8)

    assert replayed(both(scenario, dropout=0.1)) > 0


def test_each_shape_has_a_replay_of_its_own() -> None:
    def scenario(t: Training) -> list[float]:
        found = []
        for epoch in range(8):
            for size in (16, 16, 16, 5):
                found.append(t.step(t.x[:size] + epoch, t.y[:size]).item())
        return found

    step = both(scenario)
    assert len(step.site.plans) == 2
    assert all(plan.replayed > 0 for plan in step.site.plans)


def test_another_dtype_or_gradient_mode_is_noticed() -> None:
    @torch.compile
    def double(x: Any) -> Any:
        return x * 2

    for _ in range(8):
        double(torch.ones(3))
    assert replayed(double) > 0
    assert double(torch.ones(3, dtype=torch.float64)).dtype is torch.float64
    assert double(torch.ones(3, requires_grad=True)).requires_grad
    with torch.no_grad():
        assert not double(torch.ones(3, requires_grad=True)).requires_grad
    assert double(torch.tensor([1, 2])).tolist() == [2, 4]


def test_views_of_a_batch_are_arguments_like_any_other() -> None:
    def scenario(t: Training) -> list[float]:
        x, y = torch.cat([t.x, t.x + 1, t.x * 2]), torch.cat([t.y] * 3)
        return [t.step(x[i : i + 8], y[i : i + 8]).item() for i in range(24)]

    assert replayed(both(scenario)) > 0


def test_python_values_around_the_function_may_change() -> None:
    scale = 1.0
    settings = {"shift": 0.0, "unused": 0}

    class Config:
        power = 2

    config = Config()
    table = [1.0, 2.0]

    def function(x: Any) -> Any:
        return (x * scale + settings["shift"]) ** config.power + table[1]

    compiled = torch.compile(function)
    x = torch.arange(3.0)

    def check() -> None:
        for _ in range(6):
            assert compiled(x).tolist() == function(x).tolist()

    check()
    assert replayed(compiled) > 0
    scale = 3.0
    check()
    settings["shift"] = 1.0
    check()
    config.power = 3
    check()
    Config.power = 4
    del config.power
    check()
    table[1] = 7.0
    check()
    assert replayed(compiled) > 0


GLOBAL_SCALE = 2.0


def test_globals_and_helpers_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = torch.compile(lambda x: _helper(x) + 1)
    x = torch.arange(3.0)
    for _ in range(8):
        assert compiled(x).tolist() == [1, 3, 5]
    assert replayed(compiled) > 0
    monkeypatch.setitem(globals(), "GLOBAL_SCALE", 5.0)
    assert compiled(x).tolist() == [1, 6, 11]
    monkeypatch.setitem(globals(), "_helper", lambda x: -x)
    assert compiled(x).tolist() == [1, 0, -1]


def _helper(x: Any) -> Any:
    return x * GLOBAL_SCALE


def test_an_argument_that_is_a_number_is_compared() -> None:
    compiled = torch.compile(lambda x, factor, flag=False: x * factor if flag else x + factor)
    x = torch.ones(2)
    for _ in range(6):
        assert compiled(x, 3.0).tolist() == [4, 4]
    assert replayed(compiled) > 0
    assert compiled(x, 5.0).tolist() == [6, 6]
    assert compiled(x, 5.0, flag=True).tolist() == [5, 5]
    assert compiled(x, 3.0).tolist() == [4, 4]


def test_tensors_around_the_function_may_be_exchanged_or_written() -> None:
    weight = torch.ones(2)
    other = torch.ones(2) * 5
    compiled = torch.compile(lambda x: x * weight)
    x = torch.ones(2)
    for _ in range(6):
        compiled(x)
    weight.mul_(3)
    assert compiled(x).tolist() == [3, 3]
    assert replayed(compiled) > 0
    weight.data = torch.tensor([7.0, 8.0])
    assert compiled(x).tolist() == [7, 8]
    weight = other
    assert compiled(x).tolist() == [5, 5]


def test_state_dicts_may_be_loaded_between_calls() -> None:
    def scenario(t: Training) -> list[float]:
        found = losses(t, 3)
        saved = copy.deepcopy((t.model.state_dict(), t.optimizer.state_dict()))
        found += losses(t, 8)
        t.model.load_state_dict(saved[0])
        t.optimizer.load_state_dict(saved[1])
        return found + losses(t, 8)

    assert replayed(both(scenario, optimizer="Adam", lr=0.01)) > 0


def test_parameters_may_be_frozen_and_groups_added() -> None:
    def scenario(t: Training) -> list[float]:
        found = losses(t, 8)
        t.model[0].requires_grad_(False)
        t.optimizer.zero_grad()
        found += losses(t, 8)
        t.model[0].requires_grad_(True)
        extra = nn.Parameter(torch.ones(3))
        t.optimizer.add_param_group({"params": [extra], "lr": 0.5})
        extra.grad = torch.ones(3)
        found += losses(t, 8)
        return [*found, *extra.tolist()]

    assert replayed(both(scenario)) > 0


def test_gradients_are_left_as_the_ordinary_step_leaves_them() -> None:
    def scenario(t: Training) -> list[Any]:
        found: list[Any] = []
        kept = []
        for i in range(12):
            t.step(t.x + i, t.y)
            gradient = t.model[0].weight.grad
            found.append(gradient.sum().item())
            if i % 3 == 0:
                kept.append(gradient)  # this one must not change any more
            if i % 4 == 0:
                kept.append(gradient.detach()[0])
            if i % 5 == 0:
                t.optimizer.zero_grad()
        return found + [x.tolist() for x in kept]

    assert replayed(both(scenario)) > 0


def test_gradients_accumulate_over_calls() -> None:
    def run(compiled: bool) -> list[Any]:
        weight = torch.ones(3, requires_grad=True)

        def add(x: Any) -> Any:
            loss = (weight * x).sum()
            loss.backward()
            return loss

        function = torch.compile(add) if compiled else add
        found = []
        for i in range(12):
            found.append(function(torch.arange(3.0) + i).item())
            found.append(weight.grad.tolist())
            if i == 8:
                weight.grad = None
        assert not compiled or replayed(function) > 0
        return found

    assert_same(run(True), run(False))


def test_results_are_fresh_and_have_no_graph_left() -> None:
    t = Training()
    step = torch.compile(t.step)
    kept = [step(t.x, t.y) for _ in range(10)]
    assert replayed(step) > 0
    assert len({loss.item() for loss in kept}) == 10
    assert kept[-1].requires_grad
    assert type(kept[-1].grad_fn).__name__ == type(kept[0].grad_fn).__name__
    with pytest.raises(RuntimeError, match="second time"):
        kept[-1].backward()


def test_structures_and_views_are_returned_as_they_are() -> None:
    weight = torch.arange(6.0).reshape(2, 3)

    def function(x: Any) -> Any:
        weight.add_(1)
        return {"row": weight[0], "sum": (x.sum(), None, "text", [x * 2])}, weight

    compiled = torch.compile(function)
    for _ in range(6):
        last, same = compiled(torch.ones(2))
    assert replayed(compiled) > 0
    assert same is weight
    assert last["sum"][0].item() == 2 and last["sum"][1:3] == (None, "text")
    row = last["row"].tolist()
    weight.add_(1)
    assert last["row"].tolist() == [x + 1 for x in row]  # a view stays one
    last["row"].zero_()
    assert weight[0].tolist() == [0, 0, 0]


def test_state_in_a_variable_is_carried_from_call_to_call() -> None:
    def run(compiled: bool) -> list[Any]:
        torch.manual_seed(0)
        cell = nn.LSTM(3, 4, batch_first=True)
        optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)
        carried = [(torch.zeros(1, 2, 4), torch.zeros(1, 2, 4))]

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            out, state = cell(x, tuple(s.detach() for s in carried[0]))
            carried[0] = state
            loss = (out**2).mean()
            loss.backward()
            optimizer.step()
            return loss

        function = torch.compile(step) if compiled else step
        found = []
        for i in range(14):
            if i == 9:
                carried[0] = (torch.ones(1, 2, 4), torch.ones(1, 2, 4))
            found.append(function(torch.ones(2, 5, 3) * i).item())
            found.append(carried[0][1].tolist())
        assert not compiled or replayed(function) > 0
        return found

    assert_same(run(True), run(False))


class Averaging(nn.Module):
    """Keeps a running average in a buffer that it sets anew."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("average", torch.zeros(3))

    def forward(self, x: Any) -> Any:
        self.average = self.average * 0.5 + x.mean(0) * 0.5
        return x - self.average


def test_buffers_that_a_module_sets_anew_go_on() -> None:
    module, compiled = Averaging(), Averaging()
    function = torch.compile(compiled)
    with torch.no_grad():
        for i in range(10):
            x = torch.ones(2, 3) * i
            assert function(x).tolist() == module(x).tolist()
    assert compiled.average.tolist() == module.average.tolist()
    assert replayed(function._compiled) > 0


def test_data_that_is_exchanged_goes_on() -> None:
    w = torch.ones(2, requires_grad=True)

    def step(x: Any) -> Any:
        loss = ((w * x - 1) ** 2).sum()
        loss.backward()
        w.data = w.data - 0.1 * w.grad.data
        w.grad.data.zero_()
        return loss

    compiled = torch.compile(step)
    found = [compiled(torch.tensor([1.0, 2.0])).item() for _ in range(10)]
    assert replayed(compiled) > 0
    w = torch.ones(2, requires_grad=True)
    assert found == [step(torch.tensor([1.0, 2.0])).item() for _ in range(10)]


def test_hooks_registered_later_run() -> None:
    def scenario(t: Training) -> list[float]:
        found = losses(t, 8)
        handle = t.model[0].register_forward_hook(lambda module, args, out: out * 2)
        found += losses(t, 4)
        handle.remove()
        t.model[4].weight.register_hook(lambda g: g * 0.5)
        return found + losses(t, 4)

    assert replayed(both(scenario)) > 0


def test_an_error_leaves_everything_as_it_was() -> None:
    torch.manual_seed(0)
    table = nn.Embedding(5, 3)
    optimizer = torch.optim.Adam(table.parameters())

    @torch.compile
    def step(index: Any) -> Any:
        optimizer.zero_grad()
        loss = (F.dropout(table(index), 0.5) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    good = torch.tensor([0, 1, 4])
    for _ in range(8):
        step(good)
    assert replayed(step) > 0
    before = table.weight.tolist(), optimizer.state_dict()["state"][0]["step"].item()
    state = torch.get_rng_state().tolist()
    with pytest.raises(IndexError, match=r"test_compile\.py"):
        step(torch.tensor([0, 5, 1]))
    assert (table.weight.tolist(), optimizer.state_dict()["state"][0]["step"].item()) == before
    assert torch.get_rng_state().tolist() == state
    count = replayed(step)
    step(good)
    assert replayed(step) == count + 1
    assert table.weight.tolist() != before[0]


def test_an_exception_in_the_python_code_comes_through() -> None:
    limit = 3

    @torch.compile
    def checked(x: Any) -> Any:
        if x.shape[0] > limit:
            raise ValueError("too long")
        return x + 1

    for _ in range(6):
        checked(torch.ones(2))
    assert replayed(checked) > 0
    with pytest.raises(ValueError, match="too long"):
        checked(torch.ones(4))
    limit = 1
    with pytest.raises(ValueError, match="too long"):
        checked(torch.ones(2))
    assert checked(torch.ones(1)).tolist() == [2]


def _refusals() -> Iterator[Any]:
    counter = [0]
    log: list[Any] = []
    numbers = iter(range(1000))
    generator = np.random.default_rng(0)
    array = np.ones(3, np.float32)

    def item(x: Any) -> Any:
        return x * 2 if x.sum().item() > 0 else x

    def branch(x: Any) -> Any:
        return x * 2 if (x > 0).all() else -x

    def shows(x: Any) -> Any:
        print(end="")
        return x + 1

    def counts(x: Any) -> Any:
        counter[0] += 1
        return x + counter[0]

    def appends(x: Any) -> Any:
        log.append(x)
        return x + len(log)

    def iterates(x: Any) -> Any:
        return x + next(numbers)

    def draws(x: Any) -> Any:
        return x + generator.random()

    def tosses(x: Any) -> Any:
        return x if np.random.rand() < 0.5 else -x

    def numpy_data(x: Any) -> Any:
        return x + torch.from_numpy(array)

    yield item, "reads the number in a tensor"
    yield branch, "reads the number in a tensor"
    yield shows, "calls print"
    yield counts, r"changes the variable 'counter'\[0\]"
    yield appends, "adds to, or removes from, the variable 'log'"
    yield iterates, "range_iterator"
    yield draws, "Generator"
    yield tosses, r"numpy.random.rand\(\)"
    yield numpy_data, "ndarray"


@pytest.mark.parametrize(("function", "reason"), list(_refusals()), ids=lambda x: str(x)[:30])
def test_what_cannot_be_replayed_runs_and_says_why_once(function: Any, reason: str) -> None:
    compiled = torch.compile(function)
    x = torch.arange(3.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = [compiled(x).tolist() for _ in range(40)]
    assert replayed(compiled) == 0
    assert len(results) == 40
    (warning,) = caught
    assert function.__name__ in str(warning.message)
    assert warning.filename == __file__
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(str(warning.message))


def test_a_function_that_begins_to_do_something_else_is_found_out() -> None:
    class Sneaky:
        """Changes its behaviour where nobody looks."""

        calls = 0

        def __getattr__(self, name: str) -> int:
            return len(hidden)

    hidden: list[int] = []
    sneaky = Sneaky()
    compiled = torch.compile(lambda x: x + sneaky.secret)
    x = torch.zeros(1)
    for _ in range(14):
        assert compiled(x).item() == 0
    hidden.append(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = [compiled(x).item() for _ in range(200)]
    assert found[-1] == 1
    assert any("number" in str(w.message) for w in caught) or found[0] == 1


def test_a_forward_pass_that_needs_a_graph_runs_in_python() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    compiled = torch.compile(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(100):
            compiled(torch.ones(1, 3)).sum().backward()
    assert model.weight.grad.tolist() == [[100.0] * 3] * 2
    with torch.no_grad():
        for i in range(8):
            x = torch.ones(1, 3) * i
            assert compiled(x).tolist() == model(x).tolist()
    assert replayed(compiled._compiled) > 0


def test_a_compiled_module_is_the_module() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5))
    compiled = torch.compile(model, mode="reduce-overhead", dynamic=False)
    assert isinstance(compiled, nn.Module)
    assert list(compiled.state_dict()) == ["_orig_mod.0.weight", "_orig_mod.0.bias"]
    assert [p is q for p, q in zip(compiled.parameters(), model.parameters(), strict=True)]
    compiled.eval()
    assert not model[1].training
    assert compiled._orig_mod is model


def test_the_forms_of_the_call() -> None:
    @torch.compile(mode="max-autotune", fullgraph=True)
    def one(x: Any) -> Any:
        """Adds one."""
        return x + 1

    assert one(torch.zeros(1)).item() == 1
    assert (one.__name__, one.__doc__) == ("one", "Adds one.")

    def plain(x: Any) -> Any:
        return x

    assert torch.compile(plain, disable=True) is plain
    with pytest.raises(TypeError, match="function or a module"):
        torch.compile(3)
    with pytest.raises(RuntimeError, match="can't be specified"):
        torch.compile(plain, mode="default", options={})


def test_compiled_functions_nest() -> None:
    t = Training()
    t.step = torch.compile(t.step)

    @torch.compile
    def outer(x: Any, y: Any) -> Any:
        return t.step(x, y).detach() * 2

    expected = Training()
    for i in range(12):
        loss = expected.step(expected.x + i, expected.y).detach() * 2
        assert_same(outer(t.x + i, t.y).item(), loss.item())
    assert replayed(outer) > 0


def test_compiled_programs_take_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute.engine, "tier", None)
    native = []
    run_program = program.run_program
    monkeypatch.setattr(
        program, "run_program", lambda *given: native.append(1) or run_program(*given)
    )
    plain, t = Training(optimizer="Adam", lr=0.01), Training(optimizer="Adam", lr=0.01)
    step = t.step = torch.compile(t.step)
    found = losses(t, 6)
    assert programs.wait()
    found += losses(t, 20)
    assert len(native) >= 10
    assert replayed(step) >= 20
    np.testing.assert_allclose(found, losses(plain, 6) + losses(plain, 20), rtol=2e-4)


def test_deterministic_steps_run_in_one_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute.engine, "tier", None)
    torch.use_deterministic_algorithms(True)
    try:
        t = Training(dropout=0.3)
        step = t.step = torch.compile(t.step)
        found = losses(t, 12)
        plain = Training(dropout=0.3)
        assert_same(found, losses(plain, 12))
        assert replayed(step) > 0
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_two_networks_two_optimizers_and_a_running_average() -> None:
    def run(compiled: bool) -> list[Any]:
        torch.manual_seed(0)
        generator, critic, average = nn.Linear(2, 3), nn.Linear(3, 1), nn.Linear(2, 3)
        first = torch.optim.Adam(generator.parameters(), lr=0.01, betas=(0.5, 0.9))
        second = torch.optim.SGD(
            [{"params": [critic.weight], "lr": 0.1}, {"params": [critic.bias]}],
            lr=0.01,
            weight_decay=0.1,
        )
        decay = torch.optim.lr_scheduler.ExponentialLR(second, 0.9)

        def step(real: Any) -> Any:
            noise = torch.randn(4, 2)
            fake = generator(noise)
            second.zero_grad()
            loss = critic(fake.detach()).mean() - critic(real).mean()
            loss.backward()
            second.step()
            decay.step()
            first.zero_grad()
            other = -critic(fake).mean()
            other.backward()
            norm = nn.utils.clip_grad_norm_(generator.parameters(), 0.5)
            first.step()
            with torch.no_grad():
                for slow, fast in zip(average.parameters(), generator.parameters(), strict=True):
                    slow.mul_(0.9).add_(fast, alpha=0.1)
            return loss.detach(), other.detach(), norm

        function = torch.compile(step) if compiled else step
        found = [[x.item() for x in function(torch.ones(4, 3) * i)] for i in range(20)]
        assert not compiled or replayed(function) > 0
        modules = (generator, critic, average)
        return found + [p.tolist() for m in modules for p in m.parameters()] + decay.get_last_lr()

    assert_same(run(True), run(False))


class Clamp(torch.autograd.Function):
    """Clamps, and lets gradients pass where the input was in range."""

    @staticmethod
    def forward(ctx: Any, x: Any, limit: float) -> Any:
        ctx.save_for_backward(x)
        ctx.limit = limit
        return x.clamp(-limit, limit)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * (x.abs() <= ctx.limit), None


def test_custom_functions_and_hooks_within_the_step_are_part_of_it() -> None:
    def run(compiled: bool) -> list[Any]:
        torch.manual_seed(0)
        layer = nn.Linear(3, 3)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            hidden = layer(x)
            hidden.register_hook(lambda g: g * 0.5)
            loss = (Clamp.apply(hidden, 0.7) ** 2).sum()
            loss.backward()
            optimizer.step()
            return loss

        function = torch.compile(step) if compiled else step
        found = [function(torch.ones(2, 3) * i).item() for i in range(15)]
        assert not compiled or replayed(function) > 0
        return [*found, layer.weight.tolist()]

    assert_same(run(True), run(False))


def test_ctrl_c_in_a_program_leaves_the_parameters_as_they_were() -> None:
    t = Training(dropout=0.2)
    step = t.step = torch.compile(t.step)
    losses(t, 8)
    assert replayed(step) > 0
    before = [p.tolist() for p in (*t.model.parameters(), *t.model.buffers())]
    state = torch.get_rng_state().tolist()
    table = step.site.plans[0].recording.names.table
    run = table["p0"]

    def interrupted(leaves: Any, numbers: Any) -> Any:
        run(leaves, numbers)
        raise KeyboardInterrupt

    table["p0"] = interrupted
    with pytest.raises(KeyboardInterrupt):
        t.step(t.x, t.y)
    table["p0"] = run
    assert [p.tolist() for p in (*t.model.parameters(), *t.model.buffers())] == before
    assert torch.get_rng_state().tolist() == state
    assert all(p.grad is None for p in t.model.parameters())
    found = losses(t, 3)
    plain = Training(dropout=0.2)
    assert_same(found, [*losses(plain, 8), *losses(plain, 3)][8:])


def test_numbers_that_cannot_be_told_from_constants_are_not_taken_for_some() -> None:
    weight = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr=0.1)
    weight.grad = torch.ones(2)
    optimizer.step()
    count = optimizer.state[weight]["step"]
    graph = (weight * weight).sum()

    def counted(x: Any) -> Any:
        return x * count

    def backward_again(x: Any) -> Any:
        weight.grad = None
        graph.backward(retain_graph=True)
        return x

    for function, reason in ((counted, "step count"), (backward_again, "made before the call")):
        compiled = torch.compile(function)
        with pytest.warns(UserWarning, match=reason):
            for _ in range(12):
                compiled(torch.ones(1))
        assert replayed(compiled) == 0


def test_threads_step_their_own_networks() -> None:
    results: dict[int, list[float]] = {}

    def train(number: int) -> None:
        weight = torch.ones(3, requires_grad=True)
        optimizer = torch.optim.Adam([weight], lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = ((weight * x - number) ** 2).sum()
            loss.backward()
            optimizer.step()
            return loss

        function = torch.compile(step) if number < 10 else step
        results[number] = [function(torch.arange(3.0) + i % 7).item() for i in range(60)]

    workers = [threading.Thread(target=train, args=(n,)) for n in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    one, two = results[1], results[2]

    def alone(number: int) -> list[float]:
        weight = torch.ones(3, requires_grad=True)
        optimizer = torch.optim.Adam([weight], lr=0.1)
        found = []
        for i in range(60):
            optimizer.zero_grad()
            loss = ((weight * (torch.arange(3.0) + i % 7) - number) ** 2).sum()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    assert_same(one, alone(1))
    assert_same(two, alone(2))


def test_what_is_pending_is_run_before_a_replay_reads_it() -> None:
    weight = torch.ones(3)
    compiled = torch.compile(lambda x: x * weight)
    for i in range(12):
        weight.mul_(2.0)  # not run yet when the call begins
        kept = weight + 1
        assert compiled(torch.ones(3)).tolist() == [2.0 ** (i + 1)] * 3
        assert kept.tolist() == [2.0 ** (i + 1) + 1] * 3
    assert replayed(compiled) > 0


def test_work_waiting_on_old_numbers_gets_the_old_numbers() -> None:
    weight = torch.zeros(3)

    @torch.compile
    def step(x: Any) -> Any:
        weight.add_(x)
        return weight.sum()

    waiting = []
    for _ in range(12):
        waiting.append(weight + 0.5)  # to be run after the step has changed the weight
        step(torch.ones(3))
    assert replayed(step) > 0
    assert [x[0].item() for x in waiting] == [i + 0.5 for i in range(12)]


def test_replays_leave_nothing_behind() -> None:
    t = Training(dropout=0.2)
    step = torch.compile(t.step)
    for _ in range(16):
        step(t.x, t.y)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(50):
        step(t.x, t.y)
    assert replayed(step) >= 50
    gc.collect()
    assert len(gc.get_objects()) - before < 20


def test_stances_and_switches() -> None:
    class Counted(nn.Module):
        def forward(self, x: Any) -> Any:
            return x + len(seen)

    seen: list[int] = []
    compiled = torch.compile(Counted())._compiled
    for _ in range(8):
        compiled(torch.zeros(1))
    count = replayed(compiled)
    assert count > 0
    with torch.compiler.set_stance("force_eager"):
        for _ in range(5):
            compiled(torch.zeros(1))
    assert replayed(compiled) == count
    with pytest.raises(RuntimeError, match="invalid torch"):
        torch.compiler.set_stance("sometimes")
    assert torch.compiler.is_compiling() is False
    torch.compiler.reset()

    @torch.compiler.disable
    def one() -> int:
        return 1

    @torch.compiler.disable(recursive=False)
    def two() -> int:
        return 2

    assert (one(), two()) == (1, 2)


def test_an_optimizer_that_could_not_be_made_is_in_nobodys_way() -> None:
    halves = []
    try:
        torch.optim.SGD([], lr=0.1)
    except ValueError as error:
        halves.append(error.__traceback__)  # keeps the object alive that has no groups
    weight = torch.ones(20, 20, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (weight * weight).sum()
        loss.backward()
        optimizer.step()
        return loss

    compiled = torch.compile(step)
    losses = [compiled().item() for _ in range(8)]
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0]
    assert halves
