cimport cython
from tidu.base.state cimport Pending, ThreadState
from tidu.ir.value cimport Value

cdef class Op:
    cdef public object arity, attr_names, correlation, decompose, doc, dtypes, emit, ends, grad_name
    cdef public object identity, indexed, infer, inplace, input_names, joined, keepers, kind, lanes
    cdef public object lasts, layout, name, numpy, ordered, outputs, pieces, public, raises
    cdef public object reference, samples, saved, strides, takes, tolerance, variadic, view, vjps

    @cython.locals(made=Value, recorded=Pending, values=list)
    cpdef value(self, tuple inputs, tuple attrs=*, ThreadState own=*)
