cimport cython

from ..client.pool cimport Pool
from ..client.reactor cimport Reactor
from ..wire.invocation cimport Invocation
from ..wire.requests cimport Post
from .invoker cimport Invoker
from .running cimport Running


cdef class ThreadDriver:
    cdef readonly object stopping
    cdef readonly object ended
    cdef readonly object waker
    cdef object _service
    cdef object _variables
    cdef Invoker _invoker
    cdef bint _managed
    cdef Py_ssize_t _slots
    cdef Reactor _reactor
    cdef Pool _pool
    cdef Running _running
    cdef object _failed
    cdef object _lock
    cdef object _ready
    cdef object _noted
    cdef object _stray_threads
    cdef object _ticks
    cdef Py_ssize_t _standing_by
    cdef Py_ssize_t _workers
    cdef Py_ssize_t _turn
    cdef bint _away
    cdef Py_ssize_t _brisk
    cdef object _watch
    cdef object _chair
    cdef object _begin

    cdef _start_worker(self)
    @cython.locals(began=double)
    cdef Invocation _serve(self, Py_ssize_t number, ident, Invocation invocation)
    cdef Invocation _next(self, ident)
    @cython.locals(invocation=Invocation)
    cdef Invocation _taken(self, ident)
    cdef _stand_by(self, Py_ssize_t number)
    cdef _take_turn(self, Py_ssize_t number)
    cdef _keep_one_standing_by(self)
    cdef _stop_if_asked(self)
    cdef _end_if_done(self)
