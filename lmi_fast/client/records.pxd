from ..wire.requests cimport Post

cimport cython


cdef class Records:
    cdef object _memory
    cdef Py_ssize_t _received
    cdef list _free

    @cython.locals(id_size=Py_ssize_t, nonce_size=Py_ssize_t, start=Py_ssize_t, middle=Py_ssize_t)
    cpdef Py_ssize_t note(self, str invocation_request_id, str invocation_nonce) except -1
    cpdef end(self, Post post)
