cpdef bint is_plain(value, int depth=*) except? False
