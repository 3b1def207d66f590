"""Without a GPU, questions about devices are answered as by PyTorch; what needs one fails alike."""

from __future__ import annotations

from typing import Any

import pytest

import tidu

torch = pytest.importorskip("torch")

QUESTIONS = [
    "T.cuda.device(0).__enter__()",
    "T.cuda.device(-1).__enter__()",
    "T.cuda.device('cuda:1').idx",
    "T.cuda.device('cpu')",
    "T.cuda.device_of(T.ones(1)).__enter__()",
    "T.cuda._initialized, T.cuda.default_generators",
    "T.cuda.memory_cached(), T.cuda.max_memory_cached()",
    "T.cuda.memory_stats(), T.cuda.get_arch_list(), T.cuda.is_tf32_supported()",
    "T.cuda.seed(), T.cuda.set_rng_state_all([])",
    "T.cuda.mem_get_info()",
    "T.cuda.default_stream()",
    "T.cuda.set_sync_debug_mode(1)",
    "T.cuda.get_sync_debug_mode()",
    "T.cuda.ipc_collect()",
    "T.cuda.get_rng_state()",
    "T.cuda.set_per_process_memory_fraction(0.5)",
    "T.cuda.can_device_access_peer(0, 1)",
    "T.cpu.is_available(), T.cpu.device_count(), T.cpu.current_device(), T.cpu.synchronize()",
    "T.cpu.stream(T.cpu.current_stream()).__enter__()",
    "T.cpu.stream(None).__enter__(), T.cpu.StreamContext(T.cpu.Stream()).__enter__()",
    "T.cpu.Event().record(), T.cpu.Event().query(), T.cpu.Stream().wait_event(T.cpu.Event())",
    "T.cpu.amp.autocast().fast_dtype, T.cpu.amp.GradScaler().get_scale()",
    "T.xpu.is_available(), T.xpu.device_count(), T.xpu.is_initialized()",
    "T.mps.is_available(), T.mps.device_count(), T.mps.manual_seed(1)",
    "T.mps.empty_cache()",
]


def answer(library: Any, question: str) -> str:
    try:
        return repr(eval(question, {"T": library}))
    except Exception as error:
        return type(error).__name__


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_are_those_of_a_pytorch_without_devices(question: str) -> None:
    assert answer(tidu, question) == answer(torch, question)


def test_a_device_that_is_missing_is_named() -> None:
    with (
        pytest.raises(RuntimeError, match=r"torch\.cuda\.device\(\) needs a CUDA device"),
        tidu.cuda.device(0),
    ):
        pass
    with pytest.raises(AssertionError, match=r"torch\.cuda\.mem_get_info\(\) needs"):
        tidu.cuda.mem_get_info()
