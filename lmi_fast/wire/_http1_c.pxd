from ._scan cimport bytes_p
from .reply cimport Reply

cdef enum Verdict:
    REFUSED = -1  # not recognised: the Arbiter decides
    MORE = 0
    DONE = 1

# The headers that are kept, in the order of KEPT_HEADERS.
cdef enum Header:
    CONTENT_TYPE
    REQUEST_ID
    DEADLINE_MS
    FUNCTION_ARN
    TRACE_ID
    CLIENT_CONTEXT
    COGNITO_IDENTITY
    TENANT_ID
    INVOCATION_ID
    KEPT


cdef class Reader:
    # Per connection.
    cdef object _view  # of the scratch buffer: while it lives, `_room` can neither move nor shrink
    cdef bytes_p _room
    cdef Py_ssize_t _room_size
    cdef bytes _pending  # bytes received and not understood yet
    # Per reply, between the head and the end of the body.
    cdef object _arbiter
    cdef Reply _reply
    cdef bytes _head  # kept while a chunked body is read: the Arbiter may need it
    cdef bytearray _body
    cdef Py_ssize_t _filled  # of the body
    cdef Py_ssize_t _last_size  # of the chunked body before this one
    cdef bint _chunked
    cdef Py_ssize_t _left  # of the chunk being read, its line end included
    cdef Py_ssize_t _length  # of the head being read; -1: none came

    cpdef bint is_idle(self)
    cdef bytes_p room(self, Py_ssize_t *size)
    cpdef Reply received(self, Py_ssize_t count)
    cpdef Reply again(self)
    cpdef Reply end(self)
    cpdef Reply unfinished(self)
    cdef Reply _read(self, bytes data)
    cdef Reply _arbitrate(self, bytes data)
    cdef Reply _read_head(self, bytes_p data, Py_ssize_t size)
    cdef bint _may_become_head(self, bytes_p data, Py_ssize_t size) noexcept
    cdef Verdict _read_lines(self, bytes_p at, bytes_p end, Reply reply, bytes_p *body) except? REFUSED
    cdef int _keep(self, Reply reply, Header header, bytes_p value, Py_ssize_t size) except -1
    cdef bint _read_other(
        self, bytes_p name, Py_ssize_t size, bytes_p value, Py_ssize_t value_size, Reply reply
    ) noexcept
    cdef bint _read_status(self, bytes_p line, Py_ssize_t size, Reply reply) noexcept
    cdef Reply _read_body(self, bytes_p data, Py_ssize_t size)
    cdef Reply _read_chunks(self, bytes_p data, Py_ssize_t size)
    cdef int _append(self, bytes_p data, Py_ssize_t size) except -1
    cdef Reply _read_last_chunk(self, bytes_p data, Py_ssize_t size, Py_ssize_t line)
    cdef Reply _give_up_chunks(self, bytes_p rest, Py_ssize_t size)
    cdef Reply _finish(self, bytes leftover)
    cdef int _reset(self) except -1
