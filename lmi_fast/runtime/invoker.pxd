from ..context cimport Context
from ..wire.invocation cimport Invocation
from ..wire.requests cimport Post, Requests


cdef class Invoker:
    cdef readonly object handler
    cdef readonly Requests requests
    cdef public object state
    cdef object _config
    cdef bint _managed
    cdef object _log_report
    cdef object _decode
    cdef object _encode
    cdef object _make_report
    cdef bint _has_typed_events
    cdef bint _forked
    cdef readonly Py_ssize_t failed

    cpdef load(self)
    cpdef tuple begin(self, Invocation invocation)
    cpdef Post succeed(self, Invocation invocation, result)
    cpdef Post fail(self, Invocation invocation, error)
    cpdef streamed(self, Invocation invocation)
    cpdef describe(self, Invocation invocation, error)
