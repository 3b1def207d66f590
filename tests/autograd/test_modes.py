"""Gradient modes as blocks, functions, decorators and around generators; inference mode."""

from __future__ import annotations

from typing import Any

import pytest

from tests.autograd.agreement import Program, assert_agrees, programs


def decorated_generator_with_send_throw_and_return(torch: Any, show: Any, fails: Any) -> None:
    @torch.no_grad()
    def generator() -> Any:
        try:
            got = yield torch.is_grad_enabled()
            while True:
                try:
                    got = yield (got, torch.is_grad_enabled())
                except KeyError as error:
                    got = str(error)
                if got == "stop":
                    return "returned"
        finally:
            show("closed", torch.is_grad_enabled())

    running = generator()
    show(next(running), torch.is_grad_enabled())
    show(running.send(1), torch.is_grad_enabled())
    show(running.throw(KeyError("mine")), torch.is_grad_enabled())
    try:
        running.send("stop")
    except StopIteration as stop:
        show(stop.value, torch.is_grad_enabled())
    running = generator()
    next(running)
    running.close()
    show(torch.is_grad_enabled())

    @torch.no_grad()
    def raising() -> Any:
        yield 1
        raise ValueError("mine")

    fails(lambda: list(raising()))
    show(torch.is_grad_enabled())


def nested_blocks_and_exceptions(torch: Any, show: Any, fails: Any) -> None:
    def leave() -> None:
        with torch.no_grad(), torch.enable_grad():
            show(torch.is_grad_enabled())
            raise KeyError("mine")

    fails(leave)
    show(torch.is_grad_enabled())
    mode = torch.no_grad()
    for _ in range(2):
        with mode:
            show(torch.is_grad_enabled())
        show(torch.is_grad_enabled())


def a_decorated_method_keeps_its_name(torch: Any, show: Any, fails: Any) -> None:
    class Model:
        @torch.no_grad()
        def predict(self, x: Any) -> Any:
            """What it does."""
            return x * 2

    x = torch.ones(2, requires_grad=True)
    show(Model().predict(x), Model.predict.__name__, Model.predict.__doc__)


def inference_mode_as_decorator_and_switch(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(2, requires_grad=True)

    @torch.inference_mode()
    def f(t: Any) -> Any:
        return t * 2

    @torch.inference_mode
    def g(t: Any) -> Any:
        return t * 2

    show(f(x), f(x).is_inference(), g(x).is_inference())
    with torch.inference_mode(False):
        y = x * 2
        show(y, y.is_inference())
    with torch.inference_mode():
        show(torch.is_inference_mode_enabled(), torch.is_grad_enabled())
        with torch.inference_mode(False):
            show(torch.is_inference_mode_enabled(), torch.is_grad_enabled())
            z = x * 2
        show(z, z.is_inference())
    show(torch.is_inference_mode_enabled())


def views_of_inference_tensors(torch: Any, show: Any, fails: Any) -> None:
    with torch.inference_mode():
        x = torch.arange(4.0)
        v = x[1:]
    show(x.is_inference(), v.is_inference(), x[0].is_inference(), x.detach().is_inference())
    show((x + 1).is_inference(), x.clone().is_inference(), x.view(2, 2).sum().is_inference())
    with torch.inference_mode():
        v.add_(1)
    show(x, v)
    y = torch.zeros(3)
    y.copy_(v)
    show(y)
    fails(lambda: v.add_(1))  # PyTorch raises after it has written
    fails(lambda: x[0].add_(1))


def ordinary_tensors_inside_inference_mode(torch: Any, show: Any, fails: Any) -> None:
    w = torch.ones(3, requires_grad=True)
    p = torch.zeros(3)
    with torch.inference_mode():
        w.add_(1)
        p[0] = 5
        v = p[1:]
        v.add_(2)
        show(w.is_inference(), p.is_inference(), v.is_inference())
    show(w, p, v)
    (w * p).sum().backward()
    show(w.grad)


def anomaly_flags(torch: Any, show: Any, fails: Any) -> None:
    show(torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled())
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        show(torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled())
        with torch.autograd.set_detect_anomaly(False):
            show(torch.is_anomaly_enabled())
        show(torch.is_anomaly_enabled())
    waiting = torch.autograd.detect_anomaly()
    show(torch.is_anomaly_enabled())
    with waiting:
        show(torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled())
    show(torch.is_anomaly_enabled())


@pytest.mark.parametrize("program", programs(globals()), ids=lambda program: program.__name__)
def test_agrees(program: Program) -> None:
    assert_agrees(program)
