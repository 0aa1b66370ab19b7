from .wire.invocation cimport Invocation


cdef class Context:
    cdef public str aws_request_id
    cdef public object invoked_function_arn
    cdef public object tenant_id
    cdef public object function_name
    cdef public object function_version
    cdef public object memory_limit_in_mb
    cdef public object log_group_name
    cdef public object log_stream_name
    cdef public object state
    cdef public object trace_id
    cdef public object client_context
    cdef public object _identity
    cdef public object _w3c
    cdef object _deadline
    cdef public object _epoch_deadline_time_in_ms
    # As objects of a Python class have them: handlers and libraries set attributes of their own.
    cdef dict __dict__
    cdef object __weakref__
