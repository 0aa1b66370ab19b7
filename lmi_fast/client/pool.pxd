cimport cython

from ..wire.invocation cimport Invocation
from ..wire.reply cimport Reply
from ..wire.requests cimport Post, Requests
from .connection cimport Connection, Owner
from ._counts_c cimport Counts as FastCounts
from .meaning cimport read_next, refusal
from .post_line cimport PostLine, Sender
from .records cimport Records


cdef class Pool(Sender):
    cdef readonly object loop
    cdef readonly object variables
    cdef readonly object address
    cdef readonly object scratch
    cdef readonly object received
    cdef readonly object trouble
    cdef readonly bint stopping
    cdef public Py_ssize_t parked
    cdef readonly list slots
    cdef readonly bytes next
    cdef object _journal
    cdef Records _records
    cdef bint _park_first
    cdef Py_ssize_t _enough
    cdef list _lines
    cdef list _idle
    cdef Py_ssize_t _owed
    cdef Py_ssize_t _under_way
    cdef object _when_settled
    cdef Slot _then_park
    cdef readonly FastCounts counts

    cdef dialled(self, Py_ssize_t slot, sock)
    cdef came(self, Slot slot, Invocation invocation)
    @cython.locals(size=Py_ssize_t)
    cpdef answer(self, Slot slot, Post post)
    @cython.locals(size=Py_ssize_t)
    cpdef answer_only(self, Slot slot, Post post)
    @cython.locals(line=PostLine)
    cdef send(self, Post post, Slot then_park)
    cdef coming(self, Slot slot, Reply reply)
    cpdef owe(self, Py_ssize_t streams)
    cpdef end_stream(self, Slot slot, Py_ssize_t size, bint park=*)
    cpdef settled(self, Post post, error)
    @cython.locals(then_park=Slot)
    cdef sent(self, PostLine line, Post post, memo, error)


cdef class Slot(Owner):
    cdef Pool _pool
    cdef Connection _connection
    cdef Py_ssize_t _number
    cdef bint _strange_answer
    cdef object _backoff
    cdef object _retry
    cdef Post _post
    cdef bint _parked
    cdef double began
    cdef double ended
    cdef Py_ssize_t record

    @cython.locals(invocation=Invocation)
    cpdef replied(self, Reply reply)
    cpdef park(self)
    cdef answer(self, Post post)
    cpdef unpark(self)
    cpdef close(self)
    @cython.locals(pool=Pool)
    cdef _set_parked(self, bint parked)
    cdef _answered(self, Post post, Reply reply)
    cdef _go_on(self)
    cpdef start(self, journal)
    cdef _park_later(self, error=*)
