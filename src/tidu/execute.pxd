from tidu.ir.value cimport Value

cpdef buffer_of(Value value)
