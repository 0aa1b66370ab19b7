cimport cython

from ..wire._http1_c cimport Reader as FastReader
from ..wire.reply cimport Reply
from ._stream_c cimport Stream as FastStream


cdef class Owner:
    cpdef replied(self, Reply reply)
    cpdef dialled(self, sock)
    cpdef coming(self, Reply reply)
    cpdef lost(self, error)


cdef class Connection:
    cdef Owner _owner
    cdef object _loop
    cdef object _variables
    cdef object _address
    cdef object _scratch
    cdef int _user_timeout
    cdef object _sock
    cdef FastStream _stream
    cdef FastReader _reader
    cdef object _watched
    cdef list _unsent
    cdef object _marks
    cdef Py_ssize_t _mark
    cdef Py_ssize_t _received
    cdef readonly int awaited

    cpdef send(self, bytes head, bytes body=*, bytes tail=*, int replies=*)
    cpdef share(self, marks, Py_ssize_t mark, Py_ssize_t received)
    cpdef take_over(self, sock, int replies)
    cdef _note(self, int replies)
    cpdef close(self)
    cdef _hang_up(self)
    cdef _dial(self)
    cdef _watch_reader(self)
    cdef _forget_sent(self, Py_ssize_t count)
    cdef _send_failed(self, error)
    cpdef _readable(self)
    cdef _deliver(self, Reply reply)
    cdef _deliver_what_is_there(self)
    @cython.locals(reply=Reply)
    cdef _tell_what_is_coming(self)
    cdef _watch(self, add, callback)
    cdef _lose_soon(self, error)
    cdef _lose(self, error)
