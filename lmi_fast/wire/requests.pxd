cimport cython

from .invocation cimport Invocation


# What it holds is text and bytes: no cycles.
@cython.no_gc
@cython.freelist(64)
cdef class Post:
    cdef str _what
    cdef readonly str request_id
    cdef readonly bytes head
    cdef readonly bytes body
    cdef readonly Py_ssize_t record


cdef class Requests:
    cdef readonly bytes next
    cdef bytes _start
    cdef bytes _response
    cdef bytes _error
    cdef dict _kinds

    cpdef Post response(self, Invocation invocation, bytes body, str content_type)
    cpdef Post error(self, Invocation invocation, bytes body, str error_type, str xray_cause)
    cdef bytes _head(self, Invocation invocation, bytes common, bytes kind, bytes body)


cdef bytes _segment(str request_id)
