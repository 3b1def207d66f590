cdef class GradFn:
    cdef object __weakref__
    cdef public object dtype, nodes, number, places, position, shape, watchers

cdef class AccumulateGrad(GradFn):
    cdef public object post_hooks, reference
