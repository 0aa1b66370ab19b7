from ..wire.reply cimport Reply
from ..wire.requests cimport Post
from .connection cimport Connection, Owner
from .meaning cimport refusal


cdef class Sender:
    cdef sent(self, PostLine line, Post post, memo, error)


cdef class PostLine(Owner):
    cdef Sender _sender
    cdef object _loop
    cdef Connection _connection
    cdef object _backoff
    cdef object _retry
    cdef Post _post
    cdef object _memo

    cpdef send(self, Post post, memo)
    cdef _end(self, error)
    cpdef close(self)
