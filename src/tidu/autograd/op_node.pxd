cimport cython
from tidu.autograd.tape cimport GradFn
from tidu.base.state cimport ThreadState
from tidu.ir.op cimport Op
from tidu.ir.value cimport Value

cdef class OpNode(GradFn):
    cdef public object attrs, grad_name, op, saved

@cython.locals(node=OpNode)
cpdef record(Op op, tuple values, tuple attrs, Value out, tuple nodes, places, grad_name, ThreadState own)
