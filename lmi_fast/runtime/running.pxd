cimport cython

from ..client.pool cimport Pool, Slot
from ..wire.invocation cimport Invocation
from ..wire.requests cimport Post
from .invoker cimport Invoker


cdef class Running:
    cdef readonly Py_ssize_t timed_out
    cdef Pool _pool
    cdef Invoker _invoker
    cdef object _margin
    cdef object _where
    cdef object _late
    cdef object _worn_out
    cdef dict _running
    cdef dict _overdue
    cdef list _empty
    cdef object _timer
    cdef double _next

    cpdef add(self, Invocation invocation, handle)
    cpdef bint end(self, Invocation invocation, Post post) except -1
    cpdef change(self, Invocation invocation, handle)
    cpdef Py_ssize_t count(self) except -1
    cdef double _time_of(self, Invocation invocation) except -1.0
    cdef _set_timer(self, double when)
    cdef _time_out(self, Invocation invocation)
    cdef _answer(self, Invocation invocation, Post post, bint park)
    @cython.locals(post=Post)
    cpdef give_up(self, Invocation invocation, error_type, message)
