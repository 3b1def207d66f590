cimport cython
from tidu.ir.value cimport Value

@cython.locals(value=Value)
cpdef fresh(array, dtype, strides=*)

@cython.locals(place=Py_ssize_t)
cpdef bint alike(objects, known)

cpdef bint are_arrays(buffers)

cpdef bint are_unshared(storages)

@cython.locals(place=Py_ssize_t, count=Py_ssize_t)
cpdef bint hold(containers, known)
