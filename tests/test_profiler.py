"""The profiler records what was run, for which lines, in the steps that its schedule says."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import tidu
import tidu.profiler
from tidu.profiler import ProfilerAction, profile, record_function, schedule

torch = pytest.importorskip("torch")


def work() -> Any:
    model = tidu.nn.Sequential(tidu.nn.Linear(8, 8), tidu.nn.Tanh())
    with record_function("forward"):
        loss = model(tidu.ones(4, 8)).sum()
    with record_function("backward"):
        loss.backward()
    return loss


def test_blocks_contain_what_was_run_for_them() -> None:
    with profile() as recorded:
        loss = work()
    assert loss.item() == loss.item()
    names = [event.name for event in recorded.events()]
    assert names.index("forward") < names.index("backward")
    forward, backward = (e for e in recorded.events() if e.is_user_annotation)
    for block in (forward, backward):
        inside = [e for e in block.cpu_children if e.kind == "cpu_op"]
        assert inside and all(e.cpu_time_total > 0 for e in inside)
        assert all(e.cpu_parent is block for e in inside)
        assert block.cpu_time_total >= sum(e.cpu_time_total for e in block.cpu_children)
    assert any("model(tidu.ones(4, 8))" in e.name for e in forward.cpu_children)


def test_results_are_those_of_a_run_without_a_profile() -> None:
    def trained() -> list[Any]:
        tidu.manual_seed(0)
        model = tidu.nn.Linear(3, 2)
        optimizer = tidu.optim.Adam(model.parameters())
        for _ in range(3):
            optimizer.zero_grad()
            model(tidu.ones(5, 3)).pow(2).sum().backward()
            optimizer.step()
        return [x for p in model.parameters() for x in p.flatten().tolist()]

    expected = trained()
    with profile():
        found = trained()
    assert found == pytest.approx(expected, rel=1e-5)


def test_averages_sum_up_and_print() -> None:
    with profile() as recorded:
        work()
        work()
    averages = recorded.key_averages()
    forward = next(average for average in averages if average.key == "forward")
    assert forward.count == 2 and forward.cpu_time == forward.cpu_time_total / 2
    assert averages.self_cpu_time_total == pytest.approx(recorded.self_cpu_time_total)
    text = averages.table(sort_by="cpu_time_total", row_limit=2, header="Mine")
    assert text.splitlines()[1] == "Mine" and "CPU time avg" in text and "Self CPU time" in text
    assert len(text.splitlines()) == 2 + 3 + 2 + 2
    times = [float(average.cpu_time_total) for average in averages]
    first = averages.table(sort_by="cpu_time_total").splitlines()[3].split()[0]
    assert averages[times.index(max(times))].key.startswith(first)
    with pytest.raises(ValueError, match="does not measure cpu_memory_usage"):
        averages.table(sort_by="cpu_memory_usage")


@pytest.mark.parametrize("packed", [False, True])
def test_traces_are_written_for_chrome(packed: bool, tmp_path: Path) -> None:
    path = tmp_path / ("trace.json.gz" if packed else "trace.json")
    with profile() as recorded:
        work()
    recorded.add_metadata("run", "mine")
    recorded.export_chrome_trace(str(path))
    text = gzip.decompress(path.read_bytes()).decode() if packed else path.read_text()
    trace = json.loads(text)
    assert trace["run"] == "mine"
    events = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert [event["name"] for event in events] == [event.name for event in recorded.events()]
    assert all(event["dur"] > 0 for event in events)


@pytest.mark.filterwarnings("ignore:Profiler won't be using warmup")
@pytest.mark.parametrize(
    "options",
    [
        {"wait": 1, "warmup": 1, "active": 2},
        {"wait": 0, "warmup": 0, "active": 1, "repeat": 2},
        {"wait": 2, "warmup": 1, "active": 3, "repeat": 2, "skip_first": 3},
        {"wait": 2, "warmup": 1, "active": 1, "skip_first": 1, "skip_first_wait": 1},
    ],
)
def test_schedules_are_those_of_pytorch(options: dict[str, int]) -> None:
    ours, theirs = schedule(**options), torch.profiler.schedule(**options)
    assert [ours(step).name for step in range(20)] == [theirs(step).name for step in range(20)]


# PyTorch's profiler hands over at these steps.
@pytest.mark.parametrize(
    ("options", "steps", "expected"),
    [
        ({"wait": 1, "warmup": 1, "active": 2, "repeat": 1}, 6, [(4, [2, 3])]),
        ({"wait": 0, "warmup": 1, "active": 1}, 5, [(2, [1]), (4, [3]), (5, [5])]),
        ({"wait": 0, "warmup": 0, "active": 4}, 6, [(4, [0, 1, 2, 3]), (6, [4, 5, 6])]),
    ],
)
def test_cycles_are_handed_over_when_they_are_done(
    options: dict[str, int], steps: int, expected: list[Any]
) -> None:
    calls: list[Any] = []

    def ready(recorded: Any) -> None:
        names = [e.name for e in recorded.events() if e.key == "ProfilerStep*"]
        calls.append((recorded.step_num, [int(name.partition("#")[2]) for name in names]))

    x = tidu.ones(3)
    with profile(schedule=schedule(**options), on_trace_ready=ready) as recorded:
        for _ in range(steps):
            (x * 2).tolist()
            recorded.step()
    assert calls == expected


def test_traces_for_tensorboard_go_to_a_folder(tmp_path: Path) -> None:
    handler = tidu.profiler.tensorboard_trace_handler(str(tmp_path / "log"), "me")
    with profile(on_trace_ready=handler):
        work()
    (written,) = (tmp_path / "log").iterdir()
    assert written.name.startswith("me.") and written.name.endswith(".pt.trace.json")


def test_one_profile_at_a_time() -> None:
    with profile(), pytest.raises(RuntimeError, match="already enabled"):
        profile().start()


def test_a_block_outside_a_profile_does_nothing() -> None:
    with record_function("quiet"):
        y = tidu.ones(2) * 3
    assert y._storage.value.buffer is None

    @record_function("named")
    def double(x: Any) -> Any:
        return x * 2

    with profile() as recorded:
        double(y)
    assert [e.name for e in recorded.events() if e.is_user_annotation] == ["named"]


def test_the_older_interface_records_too() -> None:
    with tidu.autograd.profiler.profile(use_cuda=False) as recorded:
        work()
    assert any(event.name == "forward" for event in recorded.events())
    with tidu.autograd.profiler.profile(enabled=False) as recorded:
        work()
    assert not recorded.events()


def test_devices_that_are_not_there_cannot_be_watched() -> None:
    with pytest.raises(RuntimeError, match="No valid profiler activities"):
        profile(activities=[tidu.profiler.ProfilerActivity.CUDA])
    assert ProfilerAction.RECORD.value == torch.profiler.ProfilerAction.RECORD.value
