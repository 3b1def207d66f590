cimport cython
from tidu.ir.op cimport Op
from tidu.ir.value cimport Value

@cython.locals(value=Value, op=Op)
cpdef run_all(list region, kernel_of)

@cython.locals(op=Op, arguments=list)
cpdef run_value(Value value, kernel_of)
