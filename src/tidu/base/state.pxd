cdef class Pending:
    cdef public list values, parts
    cdef public object limit, outlook

cdef class ThreadState:
    cdef public bint grad_enabled, inference
    cdef public object autocast, position, programs, running, saved_hooks, saved_hooks_disabled
    cdef public Pending pending
