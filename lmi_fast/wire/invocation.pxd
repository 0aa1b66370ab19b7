cimport cython

from .reply cimport Reply


# What it holds is text and bytes, and a slot, which does not hold it: no cycles.
@cython.no_gc
@cython.freelist(64)
cdef class Invocation:
    cdef readonly str request_id
    cdef readonly str invocation_id
    cdef readonly long long deadline_ms
    cdef readonly str function_arn
    cdef readonly str trace_id
    cdef readonly str client_context
    cdef readonly str cognito_identity
    cdef readonly str tenant_id
    cdef readonly str content_type
    cdef public object event
    cdef public bint answered
    cdef public object slot
    cdef public object stream
    cdef public Py_ssize_t record
