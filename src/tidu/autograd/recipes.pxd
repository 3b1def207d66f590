cimport cython
from tidu.autograd.op_node cimport OpNode
from tidu.autograd.tape cimport AccumulateGrad
from tidu.base.state cimport Pending, ThreadState
from tidu.ir.value cimport Value

cdef class Recipe:
    cdef public list kinds, leaves, looks, stretches, values, zeros
    cdef public object attrs, constants, count, order, others, pick_others, pick_zeros, released

    @cython.locals(node=OpNode, nodes=tuple, ends=list, operations=list, leaves=list, end=Py_ssize_t)
    cpdef match(self, OpNode root)

    @cython.locals(value=Value)
    cpdef _has_saved(self, list row)

    @cython.locals(leaf=AccumulateGrad)
    cpdef _has_leaves(self, list leaves)

    @cython.locals(made=Value, recorded=Pending, values=list, sources=list)
    cpdef follow(self, tape, Value g, ThreadState own, bint retain_graph)
