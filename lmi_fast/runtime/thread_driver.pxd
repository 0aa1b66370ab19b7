cimport cython

from ..client.pool cimport Pool, Slot
from ..client.reactor cimport Reactor
from ..wire.invocation cimport Invocation
from ..wire.requests cimport Post
from .invoker cimport Invoker


cdef class ThreadDriver:
    cdef readonly object stopping
    cdef readonly object waker
    cdef object _service
    cdef object _variables
    cdef Invoker _invoker
    cdef bint _managed
    cdef Py_ssize_t _slots
    cdef Reactor _reactor
    cdef Pool _pool
    cdef object _lock
    cdef object _ready
    cdef object _noted
    cdef Py_ssize_t _open
    cdef Py_ssize_t _standing_by
    cdef Py_ssize_t _workers
    cdef object _turn
    cdef object _begin
    cdef object _ended
    cdef double _drain

    cdef _start_worker(self, number)
    @cython.locals(slot=Slot, invocation=Invocation)
    cdef tuple _serve(self, tuple job)
    cdef tuple _next_job(self)
    cdef _stop_if_asked(self)
    cdef _end_if_done(self)
