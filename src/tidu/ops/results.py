"""Several results with names: what ``torch.max(x, dim)`` and its kind return."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any, ClassVar


class Results(tuple[Any, ...]):
    """A tuple whose places have names, as in torch.return_types. Made of one sequence.

    >>> values, indices = torch.max(torch.tensor([[1., 3.]]), 1)
    """

    __slots__ = ()
    fields: ClassVar[tuple[str, ...]] = ()

    def __new__(cls, values: Iterable[Any]) -> Results:
        made = tuple.__new__(cls, values)
        if len(made) != len(cls.fields):
            raise TypeError(
                f"torch.return_types.{cls.__name__}() takes a {len(cls.fields)}-sequence "
                f"({', '.join(cls.fields)}), but got one of {len(made)}"
            )
        return made

    @property
    def n_fields(self) -> int:
        return len(self.fields)

    def __repr__(self) -> str:
        named = ",\n".join(f"{name}={x!r}" for name, x in zip(self.fields, self, strict=True))
        return f"torch.return_types.{type(self).__name__}(\n{named})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self).__name__, tuple(self))


RETURN_TYPES: dict[str, type[Results]] = {}


def _rebuild(name: str, values: tuple[Any, ...]) -> Results:
    return RETURN_TYPES[name](values)


def _declare(name: str, fields: str) -> type[Results]:
    names = tuple(fields.split())
    members: dict[str, Any] = {field: property(itemgetter(i)) for i, field in enumerate(names)}
    members.update(
        fields=names, __slots__=(), __match_args__=names, __module__="torch.return_types"
    )
    made = RETURN_TYPES[name] = type(name, (Results,), members)
    return made


Max = _declare("max", "values indices")
Min = _declare("min", "values indices")
Median = _declare("median", "values indices")
NanMedian = _declare("nanmedian", "values indices")
Mode = _declare("mode", "values indices")
KthValue = _declare("kthvalue", "values indices")
Sort = _declare("sort", "values indices")
TopK = _declare("topk", "values indices")
CumMax = _declare("cummax", "values indices")
CumMin = _declare("cummin", "values indices")
AMinMax = _declare("aminmax", "min max")
Frexp = _declare("frexp", "mantissa exponent")
Histogram = _declare("histogram", "hist bin_edges")
HistogramDD = _declare("histogramdd", "hist bin_edges")
Geqrf = _declare("geqrf", "a tau")
QR = _declare("qr", "Q R")
SVD = _declare("svd", "U S V")
SlogDet = _declare("slogdet", "sign logabsdet")
TriangularSolve = _declare("triangular_solve", "solution cloned_coefficient")
LUUnpack = _declare("lu_unpack", "P L U")
LinalgCholeskyEx = _declare("linalg_cholesky_ex", "L info")
LinalgEigh = _declare("linalg_eigh", "eigenvalues eigenvectors")
LinalgInvEx = _declare("linalg_inv_ex", "inverse info")
LinalgLdlFactor = _declare("linalg_ldl_factor", "LD pivots")
LinalgLdlFactorEx = _declare("linalg_ldl_factor_ex", "LD pivots info")
LinalgLstsq = _declare("linalg_lstsq", "solution residuals rank singular_values")
LinalgLU = _declare("linalg_lu", "P L U")
LinalgLUFactor = _declare("linalg_lu_factor", "LU pivots")
LinalgLUFactorEx = _declare("linalg_lu_factor_ex", "LU pivots info")
LinalgQR = _declare("linalg_qr", "Q R")
LinalgSlogDet = _declare("linalg_slogdet", "sign logabsdet")
LinalgSolveEx = _declare("linalg_solve_ex", "result info")
LinalgSVD = _declare("linalg_svd", "U S Vh")
