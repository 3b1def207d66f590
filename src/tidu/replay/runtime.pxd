cimport cython
from tidu.ir.value cimport Value

@cython.locals(value=Value)
cpdef fresh(array, dtype, strides=*)
