"""Where OpenBLAS is found, and how it is set."""

from __future__ import annotations

import pytest

from tidu.backends import blas
from tidu.base.dtypes import float32, float64


def test_it_runs_on_the_calling_thread_alone() -> None:
    library = blas._library()
    assert library.scipy_openblas_get_num_threads64_() == 1


def test_each_dtype_has_functions_of_its_own() -> None:
    addresses = [*blas.blas_address(float32), *blas.blas_address(float64)]
    assert all(addresses) and len(set(addresses)) == 4


def test_a_missing_library_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install --force-reinstall scipy_openblas64"):
        blas._library_path()
