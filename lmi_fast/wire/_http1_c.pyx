# cython: language_level=3, wraparound=False, cdivision=True
"""Reads HTTP/1.1 replies: the compiled twin of `_http1_py.py`, with the same steps under the same names.

Bytes are scanned between a pointer and an explicit end, never by index beyond it; whatever is not recognised at once goes
to the Arbiter, so no rule of HTTP lives here that is not also in the pure twin.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.string cimport memchr, memcmp, memcpy

from ..errors import ApiProtocolError
from .reply import KEPT_HEADERS, MAX_BODY as _MAX_BODY, MAX_FAST_HEAD as _MAX_FAST_HEAD, Reply

ctypedef const unsigned char *bytes_p

cdef extern from *:
    """
    /* glibc, musl and macOS have it; Windows is no Lambda platform. */
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <string.h>
    """
    void *memmem(const void *, size_t, const void *, size_t) nogil

cdef enum:
    MAX_KEPT = 16
    MAX_CHUNK_DIGITS = 8  # more than MAX_BODY has; h11 allows 20

cdef enum Verdict:
    REFUSED = -1  # not recognised: the Arbiter decides
    MORE = 0
    DONE = 1

cdef struct Kept:
    bytes_p name
    Py_ssize_t size

cdef Py_ssize_t MAX_BODY = _MAX_BODY
cdef Py_ssize_t MAX_FAST_HEAD = _MAX_FAST_HEAD
cdef tuple KEPT_KEYS = KEPT_HEADERS
cdef tuple _KEPT_BYTES = tuple([name.encode() for name in KEPT_HEADERS])  # keeps the pointers of `kept` alive
cdef Kept kept[MAX_KEPT]
cdef int kept_count = len(_KEPT_BYTES)
cdef unsigned char is_token[256]


cdef int _fill_tables() except -1:
    cdef int i
    if kept_count > MAX_KEPT:
        raise SystemError("MAX_KEPT is below the number of KEPT_HEADERS")
    for i in range(kept_count):
        name = <bytes> _KEPT_BYTES[i]
        kept[i].name = <bytes_p> PyBytes_AS_STRING(name)
        kept[i].size = PyBytes_GET_SIZE(name)
    # RFC 9110, 5.6.2
    token = b"-!#$%&'*+.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for i in range(256):
        is_token[i] = i in token
    return 0


_fill_tables()


cdef inline bint same_name(bytes_p text, Py_ssize_t size, bytes_p lower, Py_ssize_t lower_size) noexcept:
    """Equal but for case; `lower` is letters and hyphens in lower case."""
    cdef Py_ssize_t i
    cdef unsigned char c
    if size != lower_size:
        return False
    for i in range(size):
        c = text[i]
        if 65 <= c <= 90:
            c |= 32
        if c != lower[i]:
            return False
    return True


cdef inline int hex_digit(unsigned char c) noexcept:
    if 48 <= c <= 57:
        return c - 48
    c |= 32
    if 97 <= c <= 102:
        return c - 87
    return -1


cdef class Reader:
    """Reads the replies of one connection."""

    # Per connection.
    cdef object _view  # of the scratch buffer: while it lives, `_room` can neither move nor shrink
    cdef bytes_p _room
    cdef Py_ssize_t _room_size
    cdef bytes _pending  # bytes received and not understood yet
    # Per reply, between the head and the end of the body.
    cdef object _arbiter
    cdef object _reply
    cdef bytes _head  # kept while a chunked body is read: the Arbiter may need it
    cdef bytearray _body
    cdef Py_ssize_t _filled  # of a body with a length
    cdef bint _chunked
    cdef Py_ssize_t _left  # of the chunk being read, its line end included
    # Of the head being read.
    cdef int _status
    cdef Py_ssize_t _length  # -1: none came
    cdef bint _keep_alive

    def __init__(self, bytearray scratch not None):
        self._view = memoryview(scratch)
        self._room = <bytes_p> PyByteArray_AS_STRING(scratch)
        self._room_size = len(scratch)
        self._pending = b""
        self._head = b""
        self._body = bytearray()

    @property
    def idle(self):
        """True between replies: nothing of the next one has come."""
        return self._arbiter is None and self._reply is None and not self._pending

    def buffer(self):
        """Where the next received bytes belong: the shared scratch buffer, or the rest of a body with a length."""
        if self._reply is not None and not self._chunked:
            return memoryview(self._body)[self._filled:]
        return self._view

    def received(self, Py_ssize_t count):
        """`count` bytes came into buffer(): the reply they make whole, or None. Raises ApiProtocolError."""
        cdef bytes data
        if self._reply is not None and not self._chunked:
            if not 0 <= count <= len(self._body) - self._filled:
                raise ValueError("more bytes than the buffer holds")
            self._filled += count
            return self._finish(b"") if self._filled == len(self._body) else None
        if not 0 <= count <= self._room_size:
            raise ValueError("more bytes than the buffer holds")
        if not self._pending and self._reply is None and self._arbiter is None:
            return self._read_head(self._room, count)
        data = self._pending + PyBytes_FromStringAndSize(<const char *> self._room, count)
        self._pending = b""
        return self._read(data)

    def again(self):
        """A further reply among the bytes received already, or None. Raises ApiProtocolError."""
        cdef bytes data = self._pending
        self._pending = b""
        return self._read(data) if data else None

    def end(self):
        """The stream ended: a reply that ends with it, or None between replies. Raises ApiProtocolError within one."""
        if self._arbiter is not None:
            return self._arbitrate(b"")
        if self.idle:
            return None
        raise ApiProtocolError("the connection ended within a reply")

    cdef object _read(self, bytes data):
        if self._arbiter is not None:
            return self._arbitrate(data)
        if self._reply is not None:
            return self._read_chunks(<bytes_p> PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        return self._read_head(<bytes_p> PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cdef object _arbitrate(self, bytes data):
        if self._arbiter is None:
            from ._http1_h11 import Arbiter  # h11 costs start-up time; most processes never need it

            self._arbiter = Arbiter()
        reply = self._arbiter.feed(data)
        if reply is not None:
            self._pending = self._arbiter.leftover
            self._arbiter = None
        return reply

    cdef object _read_head(self, bytes_p data, Py_ssize_t size):
        """Reads a head, and as much of its body as is there, from `data`, which outlives the call."""
        cdef dict headers = {}
        cdef bytes_p end = <bytes_p> memmem(data, min(size, MAX_FAST_HEAD), b"\r\n\r\n", 4) if size else NULL
        cdef Py_ssize_t begin
        cdef Verdict verdict
        if end == NULL:
            verdict = self._may_become_head(data, size)
            if verdict == MORE:
                self._pending = PyBytes_FromStringAndSize(<const char *> data, size)
                return None
            return self._arbitrate(PyBytes_FromStringAndSize(<const char *> data, size))
        # The head is read with the line end of its last line, so that every line has one.
        verdict = self._read_lines(data, end + 2, headers)
        if verdict == REFUSED or (self._length < 0 and not self._chunked):
            self._chunked = False
            return self._arbitrate(PyBytes_FromStringAndSize(<const char *> data, size))
        begin = end + 4 - data
        self._reply = Reply(self._status, headers, b"", self._keep_alive)
        if self._chunked:
            self._head = PyBytes_FromStringAndSize(<const char *> data, begin)
            return self._read_chunks(data + begin, size - begin)
        return self._read_body(data + begin, size - begin)

    cdef Verdict _may_become_head(self, bytes_p data, Py_ssize_t size) noexcept:
        """Wait for the rest only of what still may become a head we know."""
        cdef Py_ssize_t i
        if size >= MAX_FAST_HEAD or memcmp(data, b"HTTP/1.1 ", min(size, 9)) != 0:
            return REFUSED
        for i in range(size):
            if data[i] == 10 and data[i - 1] != 13:  # data[0] is "H"
                return REFUSED
        return MORE

    cdef Verdict _read_lines(self, bytes_p at, bytes_p end, dict headers) except? REFUSED:
        """Reads status line and headers between `at` and `end`; every line there ends with CRLF, `end` included."""
        cdef bytes_p line_end
        cdef bytes_p colon
        cdef bytes_p value
        cdef bytes_p value_end
        cdef Py_ssize_t size
        cdef int i
        self._length = -1
        self._chunked = False
        self._keep_alive = True
        line_end = self._line_end(at, end)
        if line_end == NULL or not self._read_status(at, line_end - at):
            return REFUSED
        at = line_end + 2
        while at < end:
            line_end = self._line_end(at, end)
            if line_end == NULL:
                return REFUSED
            colon = <bytes_p> memchr(at, 58, line_end - at)
            if colon == NULL:
                return REFUSED
            value = colon + 1
            value_end = line_end
            while value < value_end and value[0] == 32:
                value += 1
            while value_end > value and (value_end - 1)[0] == 32:
                value_end -= 1
            size = colon - at
            for i in range(kept_count):
                if same_name(at, size, kept[i].name, kept[i].size):
                    headers[KEPT_KEYS[i]] = PyUnicode_DecodeASCII(<const char *> value, value_end - value, NULL)
                    break
            else:
                if not self._read_other(at, size, value, value_end - value):
                    return REFUSED
            at = line_end + 2
        return DONE

    cdef bytes_p _line_end(self, bytes_p at, bytes_p end) noexcept:
        """The CRLF that ends the line at `at`; NULL when another control or non-ASCII character comes first."""
        cdef bytes_p line_end = <bytes_p> memchr(at, 13, end - at)
        cdef Py_ssize_t i
        cdef unsigned char odd = 0
        if line_end == NULL or end - line_end < 2 or line_end[1] != 10:
            return NULL
        # Without a branch per character, so that the compiler makes vectors of it.
        for i in range(line_end - at):
            odd |= <unsigned char> (at[i] - 32) > 94
        return NULL if odd else line_end

    cdef bint _read_status(self, bytes_p line, Py_ssize_t size) noexcept:
        cdef int i
        cdef int status = 0
        if size < 12 or memcmp(line, b"HTTP/1.1 ", 9) != 0 or (size > 12 and line[12] != 32):
            return False
        for i in range(9, 12):
            if not 48 <= line[i] <= 57:
                return False
            status = 10 * status + line[i] - 48
        self._status = status
        # 1xx come before the reply; 204 and 304 have no body whatever their headers say (RFC 9112, 6.3).
        return 200 <= status <= 599 and status != 204 and status != 304

    cdef bint _read_other(self, bytes_p name, Py_ssize_t size, bytes_p value, Py_ssize_t value_size) noexcept:
        """A header that is not kept: framing, Connection, or one that only has to be valid."""
        cdef Py_ssize_t i
        if same_name(name, size, b"connection", 10):
            if same_name(value, value_size, b"close", 5):
                self._keep_alive = False
                return True
            return same_name(value, value_size, b"keep-alive", 10)
        if same_name(name, size, b"content-length", 14):
            if self._length >= 0 or self._chunked or not 1 <= value_size <= 8:
                return False
            self._length = 0
            for i in range(value_size):
                if not 48 <= value[i] <= 57:
                    return False
                self._length = 10 * self._length + value[i] - 48
            return self._length <= MAX_BODY
        if same_name(name, size, b"transfer-encoding", 17):
            if self._length >= 0 or self._chunked or not same_name(value, value_size, b"chunked", 7):
                return False
            self._chunked = True
            return True
        for i in range(size):
            if not is_token[name[i]]:
                return False
        return size > 0

    cdef object _read_body(self, bytes_p data, Py_ssize_t size):
        cdef object reply = self._reply
        if size >= self._length:
            reply.body = PyBytes_FromStringAndSize(<const char *> data, self._length)
            self._reply = None
            if size > self._length:
                self._pending = PyBytes_FromStringAndSize(<const char *> (data + self._length), size - self._length)
            return reply
        # The rest is received in place: no copy, however many reads it takes.
        self._filled = size
        self._body = bytearray(self._length)
        memcpy(PyByteArray_AS_STRING(self._body), data, size)
        return None

    cdef object _read_chunks(self, bytes_p data, Py_ssize_t size):
        """Reads chunks from `data`, which outlives the call."""
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t part
        cdef Py_ssize_t chunk
        cdef Py_ssize_t digits
        cdef int digit
        while True:
            if self._left > 2:
                part = min(self._left - 2, size - at)
                self._body += PyBytes_FromStringAndSize(<const char *> (data + at), part)
                self._left -= part
                at += part
                if self._left > 2:
                    return None
            while self._left:
                if at == size:
                    return None
                if data[at] != (13 if self._left == 2 else 10):
                    return self._give_up_chunks(data + at, size - at)
                self._left -= 1
                at += 1
            chunk = 0
            digits = 0
            while at + digits < size and digits < MAX_CHUNK_DIGITS:
                digit = hex_digit(data[at + digits])
                if digit < 0:
                    break
                chunk = 16 * chunk + digit
                digits += 1
            if size - at < digits + 2:
                # Not a whole line yet: wait for it unless it already is none that we know.
                if size - at > digits and (digits == 0 or data[at + digits] != 13):
                    return self._give_up_chunks(data + at, size - at)
                self._pending = PyBytes_FromStringAndSize(<const char *> (data + at), size - at)
                return None
            if digits == 0 or data[at + digits] != 13 or data[at + digits + 1] != 10:
                return self._give_up_chunks(data + at, size - at)
            if chunk == 0:
                return self._read_last_chunk(data + at, size - at, digits + 2)
            if len(self._body) + chunk > MAX_BODY:
                return self._give_up_chunks(data + at, size - at)
            self._left = chunk + 2
            at += digits + 2

    cdef object _read_last_chunk(self, bytes_p data, Py_ssize_t size, Py_ssize_t line):
        """The last chunk begins at `data`; its first line is `line` bytes long, and no trailer should follow."""
        if size >= line + 2 and data[line] == 13 and data[line + 1] == 10:
            return self._finish(PyBytes_FromStringAndSize(<const char *> (data + line + 2), size - line - 2))
        if size == line or (size == line + 1 and data[line] == 13):
            self._pending = PyBytes_FromStringAndSize(<const char *> data, size)
            return None
        return self._give_up_chunks(data, size)

    cdef object _give_up_chunks(self, bytes_p rest, Py_ssize_t size):
        # The chunks read so far are valid, and one chunk means the same to the Arbiter as many.
        cdef bytes body = bytes(self._body)
        cdef bytes so_far = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        cdef bytes head = self._head
        if self._left:
            so_far = so_far[: len(so_far) - self._left]
        self._reset()
        return self._arbitrate(head + so_far + PyBytes_FromStringAndSize(<const char *> rest, size))

    cdef object _finish(self, bytes leftover):
        cdef object reply = self._reply
        reply.body = self._body
        self._pending = leftover
        self._reset()
        return reply

    cdef int _reset(self) except -1:
        self._reply = None
        self._head = b""
        self._body = bytearray()
        self._chunked = False
        self._left = 0
        return 0
