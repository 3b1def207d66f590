"""A world of one process: collectives, groups and wrappers answer as PyTorch's do there."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tidu
import tidu.distributed

torch = pytest.importorskip("torch")

LIBRARIES = (torch, tidu)


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[None]:
    for library in LIBRARIES:
        method = f"file://{tmp_path}/{library.__name__}"
        library.distributed.init_process_group("gloo", rank=0, world_size=1, init_method=method)
    yield
    for library in LIBRARIES:
        if library.distributed.is_initialized():
            library.distributed.destroy_process_group()


def answer(library: Any, ask: Callable[[Any, Any], Any]) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return repr(ask(library, library.distributed))
    except Exception as error:
        return type(error).__name__


def after(tensors: Any, call: Any) -> Any:
    """What `call` has made of the tensors."""
    return call, tensors


QUESTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "rank and size": lambda L, d: (d.get_rank(), d.get_world_size(), d.get_backend()),
    "the world": lambda L, d: (d.group.WORLD.rank(), d.group.WORLD.size(), d.group.WORLD.name()),
    "the same world": lambda L, d: d.group.WORLD is d.GroupMember.WORLD,
    "ranks of a group": lambda L, d: d.get_process_group_ranks(d.new_group([0])),
    "size of a group": lambda L, d: d.get_world_size(d.new_group([0])),
    "a group of two": lambda L, d: d.new_group([0, 1]),
    "a member": lambda L, d: d.get_global_rank(d.group.WORLD, 0),
    "no member": lambda L, d: d.get_global_rank(d.new_group([0]), 1),
    "names of backends": lambda L, d: (d.Backend("GLOO"), d.is_backend_available("gloo")),
    "all_reduce": lambda L, d: after(x := L.ones(2), d.all_reduce(x)) and x,
    "all_reduce, max": lambda L, d: after(x := L.ones(2), d.all_reduce(x, d.ReduceOp.MAX)),
    "async": lambda L, d: d.all_reduce(L.ones(2), async_op=True).wait(),
    "all_reduce of a list": lambda L, d: d.all_reduce([1.0]),
    "reduce": lambda L, d: after(x := L.ones(2), d.reduce(x, 0)),
    "broadcast": lambda L, d: after(x := L.ones(2), d.broadcast(x, 0)),
    "broadcast from nobody": lambda L, d: d.broadcast(L.ones(2), 1),
    "all_gather": lambda L, d: after(x := [L.zeros(2)], d.all_gather(x, L.ones(2))),
    "all_gather of two": lambda L, d: d.all_gather([L.zeros(2), L.zeros(2)], L.ones(2)),
    "all_gather of no list": lambda L, d: d.all_gather(L.zeros(2), L.ones(2)),
    "all_gather_into_tensor": lambda L, d: after(
        x := L.zeros(1, 2), d.all_gather_into_tensor(x, L.ones(1, 2))
    ),
    "gather": lambda L, d: after(x := [L.zeros(2)], d.gather(L.ones(2), x)),
    "gather without a list": lambda L, d: d.gather(L.ones(2)),
    "scatter": lambda L, d: after(x := L.zeros(2), d.scatter(x, [L.ones(2)])),
    "scatter without a list": lambda L, d: d.scatter(L.zeros(2)),
    "reduce_scatter": lambda L, d: after(x := L.zeros(2), d.reduce_scatter(x, [L.ones(2)])),
    "reduce_scatter_tensor": lambda L, d: after(
        x := L.zeros(2), d.reduce_scatter_tensor(x, L.ones(2))
    ),
    "all_to_all": lambda L, d: after(x := [L.zeros(2)], d.all_to_all(x, [L.ones(2)])),
    "all_to_all_single": lambda L, d: after(x := L.zeros(2), d.all_to_all_single(x, L.ones(2))),
    "barrier": lambda L, d: (d.barrier(), d.monitored_barrier()),
    "send to oneself": lambda L, d: d.send(L.ones(2), 0),
    "all_gather_object": lambda L, d: after(x := [None], d.all_gather_object(x, {"a": [1]})),
    "gather_object": lambda L, d: after(x := [None], d.gather_object({"a": [1]}, x)),
    "broadcast_object_list": lambda L, d: after(x := [{"a": 1}], d.broadcast_object_list(x, 0)),
    "scatter_object_list": lambda L, d: after(x := [None], d.scatter_object_list(x, [3])),
    "a second world": lambda L, d: d.init_process_group("gloo"),
    "a sampler": lambda L, d: list(L.utils.data.DistributedSampler(range(5), shuffle=False)),
    "nothing to train": lambda L, d: L.nn.parallel.DistributedDataParallel(L.nn.ReLU()),
    "a wrapped layer": lambda L, d: L.nn.parallel.DistributedDataParallel(L.nn.Linear(2, 2)),
}


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_world_of_one_answers_as_pytorch_does(question: str) -> None:
    expected = answer(torch, QUESTIONS[question])
    assert answer(tidu, QUESTIONS[question]) == expected


@pytest.mark.parametrize(
    "ask",
    [
        lambda L, d: (d.is_available(), d.is_initialized(), d.group.WORLD),
        lambda L, d: d.get_rank(),
        lambda L, d: d.all_reduce(L.ones(2)),
        lambda L, d: d.barrier(),
        lambda L, d: d.destroy_process_group(),
        lambda L, d: d.init_process_group("gloo"),
        lambda L, d: d.init_process_group("gloo", init_method="file:///nowhere"),
        lambda L, d: d.get_node_local_rank(),
        lambda L, d: d.get_node_local_rank(3),
        lambda L, d: L.nn.parallel.DistributedDataParallel(L.nn.Linear(2, 2)),
    ],
)
def test_without_a_world_as_pytorch_does(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert answer(tidu, ask) == answer(torch, ask)


def test_the_environment_says_who_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    tidu.distributed.init_process_group("cpu:gloo,cuda:nccl")
    try:
        assert tidu.distributed.get_world_size() == 1
    finally:
        tidu.distributed.destroy_process_group()


def test_more_processes_are_refused_by_name() -> None:
    with pytest.raises(NotImplementedError, match=r"init_process_group.*WORLD_SIZE=1"):
        tidu.distributed.init_process_group("gloo", rank=0, world_size=2)
    assert not tidu.distributed.is_initialized()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("backend", "message"), [("unknown", "Unknown backend type unknown"), ("nccl", "have NCCL")]
)
def test_other_backends_are_refused_as_in_pytorch(
    backend: str, message: str, tmp_path: Path
) -> None:
    kinds = []
    for library in LIBRARIES:
        with pytest.raises((AssertionError, RuntimeError), match=message) as error:
            library.distributed.init_process_group(
                backend, rank=0, world_size=1, init_method=f"file://{tmp_path}/{library.__name__}"
            )
        kinds.append(error.type)
    assert kinds[0] is kinds[1]


@pytest.mark.usefixtures("worlds")
def test_a_wrapped_module_trains_as_the_module_does() -> None:
    tidu.manual_seed(0)
    module = tidu.nn.Linear(3, 2)
    wrapped = tidu.nn.parallel.DistributedDataParallel(module)
    x = tidu.ones(4, 3)
    with wrapped.no_sync():
        wrapped(x).sum().backward()
    assert wrapped.module is module
    assert module.weight.grad.tolist() == [[4.0] * 3] * 2
    assert list(wrapped.state_dict()) == ["module.weight", "module.bias"]


def test_synchronized_batch_norm_is_batch_norm() -> None:
    tidu.manual_seed(0)
    net = tidu.nn.Sequential(tidu.nn.Linear(3, 4), tidu.nn.BatchNorm1d(4))
    net[1].weight.data.uniform_()
    x = tidu.randn(5, 3)
    expected = net(x)
    net[1].reset_running_stats()
    converted = tidu.nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert type(converted[1]) is tidu.nn.SyncBatchNorm and converted[1].weight is net[1].weight
    assert converted(x).tolist() == expected.tolist()
