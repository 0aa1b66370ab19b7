cimport cython


cdef class Reactor:
    cdef object _epoll
    cdef dict _watched
    cdef list _timers
    cdef readonly object waker
    cdef object _woken

    @cython.locals(timer=_Timer)
    cpdef timeout(self)
    cpdef wait(self, timeout)
    @cython.locals(fd=int, events=int, watched=_Watched, timer=_Timer)
    cpdef handle(self, list ready)
    cpdef wake(self)
    cdef _Watched _watch(self, fd)
    @cython.locals(watched=_Watched)
    cdef _update(self, fd)
    cdef _Timer _call_at(self, double when, callback, tuple args)


cdef class _Watched:
    cdef object reader
    cdef object writer
    cdef int selected

    cdef int events(self)


cdef class _Timer:
    cdef readonly double when
    cdef object callback
    cdef tuple args
