cdef class Value:
    cdef object __weakref__
    cdef public object op, inputs, attrs, shape, dtype, position, buffer, bounds
