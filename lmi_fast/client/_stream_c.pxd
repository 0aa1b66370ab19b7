from ..wire._http1_c cimport Reader


cdef class Stream:
    cdef object _sock  # keeps the descriptor open
    cdef int _fd

    cpdef Py_ssize_t send(self, bytes head, bytes body, bytes tail) except -1
    cpdef Py_ssize_t receive(self, Reader reader) except -2
