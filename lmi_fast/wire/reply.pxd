cimport cython


# What it holds is text and bytes: no cycles.
@cython.no_gc
@cython.freelist(64)
cdef class Reply:
    cdef public int status
    cdef public bint keep_alive
    cdef public object body
    cdef public str content_type
    cdef public str request_id
    cdef public long long deadline_ms
    cdef public str function_arn
    cdef public str trace_id
    cdef public str client_context
    cdef public str cognito_identity
    cdef public str tenant_id
    cdef public str invocation_id
    cpdef bint is_event(self)
