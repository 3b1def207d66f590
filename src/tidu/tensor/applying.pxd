cimport cython
from tidu.base.state cimport ThreadState
from tidu.ir.op cimport Op
from tidu.ir.value cimport Value

@cython.locals(own=ThreadState, out=Value, values=list, nodes=list)
cpdef apply(Op op, tuple inputs, tuple attrs=*, grad_name=*)

@cython.locals(own=ThreadState, out=Value)
cpdef apply_pair(Op op, x, y)
