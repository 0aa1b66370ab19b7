# cython: language_level=3, wraparound=False, cdivision=True
"""Reads HTTP/1.1 replies: the compiled twin of `_http1_py.py`, with the same steps under the same names.

Bytes are scanned between a pointer and an explicit end, never by index beyond it; whatever is not recognised at once goes
to the Arbiter, so no rule of HTTP lives here that is not also in the pure twin.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_GET_BUFFER
from libc.string cimport memchr, memcmp, memcpy

from ._scan cimport ascii_text, bytes_p, hex_digit, is_printable, number, same_name
from .reply cimport Reply

from ..errors import ApiProtocolError
from .reply import KEPT_HEADERS, MAX_BODY as _MAX_BODY, MAX_FAST_HEAD as _MAX_FAST_HEAD

cdef enum:
    MAX_CHUNK_DIGITS = 8  # more than MAX_BODY has; h11 allows 20

cdef struct Name:
    bytes_p text
    Py_ssize_t size

cdef Py_ssize_t MAX_BODY = _MAX_BODY
cdef Py_ssize_t MAX_FAST_HEAD = _MAX_FAST_HEAD
cdef tuple _KEPT_BYTES = tuple([name.encode() for name in KEPT_HEADERS])  # keeps the pointers of `kept` alive
cdef Name kept[<int> KEPT]
cdef unsigned char is_token[256]
cdef str JSON = "application/json"


cdef int _fill_tables() except -1:
    cdef int i
    attributes = ("content_type", "request_id", "deadline_ms", "function_arn", "trace_id", "client_context",
                  "cognito_identity", "tenant_id", "invocation_id")
    if tuple(KEPT_HEADERS.values()) != attributes:
        raise SystemError("the headers of _http1_c.pyx are not the KEPT_HEADERS")
    for i in range(KEPT):
        name = <bytes> _KEPT_BYTES[i]
        kept[i].text = <bytes_p> PyBytes_AS_STRING(name)
        kept[i].size = PyBytes_GET_SIZE(name)
    # RFC 9110, 5.6.2
    token = b"-!#$%&'*+.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for i in range(256):
        is_token[i] = i in token
    return 0


_fill_tables()


cdef class Reader:
    """Reads the replies of one connection."""

    def __init__(self, scratch):
        self._view = memoryview(scratch)
        if self._view.readonly or not self._view.c_contiguous:
            raise TypeError("the scratch buffer of a Reader has to be writable and in one piece")
        self._room = <bytes_p> PyMemoryView_GET_BUFFER(self._view).buf
        self._room_size = self._view.nbytes
        self._pending = b""
        self._head = b""
        self._body = bytearray()

    cpdef bint is_idle(self):
        """True between replies: nothing of the next one has come."""
        return self._arbiter is None and self._reply is None and not self._pending

    def buffer(self):
        """Where the next received bytes belong: the shared scratch buffer, or the rest of a body with a length."""
        if self._reply is not None and not self._chunked:
            return memoryview(self._body)[self._filled:]
        return self._view

    cdef bytes_p room(self, Py_ssize_t *size):
        """buffer() as a pointer and a size."""
        if self._reply is not None and not self._chunked:
            size[0] = len(self._body) - self._filled
            return <bytes_p> PyByteArray_AS_STRING(self._body) + self._filled
        size[0] = self._room_size
        return self._room

    cpdef Reply received(self, Py_ssize_t count):
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

    cpdef Reply again(self):
        """A further reply among the bytes received already, or None. Raises ApiProtocolError."""
        cdef bytes data = self._pending
        self._pending = b""
        return self._read(data) if data else None

    cpdef Reply end(self):
        """The stream ended: a reply that ends with it, or None between replies. Raises ApiProtocolError within one."""
        if self._arbiter is not None:
            return self._arbitrate(b"")
        if self.is_idle():
            return None
        raise ApiProtocolError("the connection ended within a reply")

    cpdef Reply unfinished(self):
        """The reply whose head has come, and not all of its body; without that. None where there is none."""
        return self._reply if self._arbiter is None else self._arbiter.unfinished()

    cdef Reply _read(self, bytes data):
        if self._arbiter is not None:
            return self._arbitrate(data)
        if self._reply is not None:
            return self._read_chunks(<bytes_p> PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        return self._read_head(<bytes_p> PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cdef Reply _arbitrate(self, bytes data):
        if self._arbiter is None:
            from ._http1_h11 import Arbiter  # h11 costs start-up time; most processes never need it

            self._arbiter = Arbiter()
        reply = self._arbiter.feed(data)
        if reply is not None:
            self._pending = self._arbiter.leftover
            self._arbiter = None
        return reply

    cdef Reply _read_head(self, bytes_p data, Py_ssize_t size):
        """Reads a head, and as much of its body as is there, from `data`, which outlives the call."""
        cdef Reply reply = Reply.__new__(Reply)
        cdef bytes_p end = data
        cdef Py_ssize_t begin
        cdef Verdict verdict = self._read_lines(data, data + min(size, MAX_FAST_HEAD), reply, &end)
        if verdict == MORE and self._may_become_head(data, size):
            self._pending = PyBytes_FromStringAndSize(<const char *> data, size)
            return None
        if verdict != DONE or (self._length < 0 and not self._chunked):
            self._chunked = False
            return self._arbitrate(PyBytes_FromStringAndSize(<const char *> data, size))
        begin = end - data
        self._reply = reply
        if self._chunked:
            self._head = PyBytes_FromStringAndSize(<const char *> data, begin)
            return self._read_chunks(end, size - begin)
        return self._read_body(end, size - begin)

    cdef bint _may_become_head(self, bytes_p data, Py_ssize_t size) noexcept:
        """Wait for the rest only of what still may become a head we know."""
        cdef Py_ssize_t i
        if size >= MAX_FAST_HEAD or memcmp(data, b"HTTP/1.1 ", min(size, 9)) != 0:
            return False
        for i in range(size):
            if data[i] == 10 and data[i - 1] != 13:  # data[0] is "H"
                return False
        return True

    cdef Verdict _read_lines(self, bytes_p at, bytes_p end, Reply reply, bytes_p *body) except? REFUSED:
        """Reads status line and headers between `at` and `end` into `reply`, and says where its body begins."""
        cdef bytes_p line_end
        cdef bytes_p colon
        cdef bytes_p value
        cdef bytes_p value_end
        cdef int i
        cdef bint first = True
        self._length = -1
        self._chunked = False
        reply.keep_alive = True
        while True:
            line_end = <bytes_p> memchr(at, 13, end - at)
            if line_end == NULL or end - line_end < 2:
                return MORE
            if line_end[1] != 10 or not is_printable(at, line_end):
                return REFUSED
            if first:
                if not self._read_status(at, line_end - at, reply):
                    return REFUSED
                first = False
            elif line_end == at:
                body[0] = at + 2
                return DONE
            else:
                colon = <bytes_p> memchr(at, 58, line_end - at)
                if colon == NULL:
                    return REFUSED
                value = colon + 1
                value_end = line_end
                while value < value_end and value[0] == 32:
                    value += 1
                while value_end > value and (value_end - 1)[0] == 32:
                    value_end -= 1
                for i in range(KEPT):
                    if same_name(at, colon - at, kept[i].text, kept[i].size):
                        self._keep(reply, <Header> i, value, value_end - value)
                        break
                else:
                    if not self._read_other(at, colon - at, value, value_end - value, reply):
                        return REFUSED
            at = line_end + 2

    cdef int _keep(self, Reply reply, Header header, bytes_p value, Py_ssize_t size) except -1:
        cdef unicode text
        if header == DEADLINE_MS:
            reply.deadline_ms = number(value, size)
            return 0
        if header == CONTENT_TYPE and size == 16 and memcmp(value, b"application/json", 16) == 0:
            text = JSON
        else:
            text = ascii_text(value, size)
        if header == CONTENT_TYPE:
            reply.content_type = text
        elif header == REQUEST_ID:
            reply.request_id = text
        elif header == FUNCTION_ARN:
            reply.function_arn = text
        elif header == TRACE_ID:
            reply.trace_id = text
        elif header == CLIENT_CONTEXT:
            reply.client_context = text
        elif header == COGNITO_IDENTITY:
            reply.cognito_identity = text
        elif header == TENANT_ID:
            reply.tenant_id = text
        else:
            reply.invocation_id = text
        return 0

    cdef bint _read_status(self, bytes_p line, Py_ssize_t size, Reply reply) noexcept:
        cdef int i
        cdef int status = 0
        if size < 12 or memcmp(line, b"HTTP/1.1 ", 9) != 0 or (size > 12 and line[12] != 32):
            return False
        for i in range(9, 12):
            if not 48 <= line[i] <= 57:
                return False
            status = 10 * status + line[i] - 48
        reply.status = status
        # 1xx come before the reply; 204 and 304 have no body whatever their headers say (RFC 9112, 6.3).
        return 200 <= status <= 599 and status != 204 and status != 304

    cdef bint _read_other(
        self, bytes_p name, Py_ssize_t size, bytes_p value, Py_ssize_t value_size, Reply reply
    ) noexcept:
        """A header that is not kept: framing, Connection, or one that only has to be valid."""
        cdef Py_ssize_t i
        if same_name(name, size, b"connection", 10):
            if same_name(value, value_size, b"close", 5):
                reply.keep_alive = False
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

    cdef Reply _read_body(self, bytes_p data, Py_ssize_t size):
        cdef Reply reply = self._reply
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

    cdef Reply _read_chunks(self, bytes_p data, Py_ssize_t size):
        """Reads chunks from `data`, which outlives the call."""
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t part
        cdef Py_ssize_t chunk
        cdef Py_ssize_t digits
        cdef int digit
        while True:
            if self._left > 2:
                part = min(self._left - 2, size - at)
                self._append(data + at, part)
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
            if self._filled + chunk > MAX_BODY:
                return self._give_up_chunks(data + at, size - at)
            self._left = chunk + 2
            at += digits + 2

    cdef int _append(self, bytes_p data, Py_ssize_t size) except -1:
        cdef Py_ssize_t filled = self._filled + size
        if filled > len(self._body):
            # As large as the last one at once, if that is enough: the events of a function are much alike, and a large
            # buffer that grows is there twice, time and again.
            PyByteArray_Resize(self._body, max(filled, self._last_size))
        memcpy(PyByteArray_AS_STRING(self._body) + self._filled, data, size)
        self._filled = filled
        return 0

    cdef Reply _read_last_chunk(self, bytes_p data, Py_ssize_t size, Py_ssize_t line):
        """The last chunk begins at `data`; its first line is `line` bytes long, and no trailer should follow."""
        if size >= line + 2 and data[line] == 13 and data[line + 1] == 10:
            return self._finish(PyBytes_FromStringAndSize(<const char *> (data + line + 2), size - line - 2))
        if size == line or (size == line + 1 and data[line] == 13):
            self._pending = PyBytes_FromStringAndSize(<const char *> data, size)
            return None
        return self._give_up_chunks(data, size)

    cdef Reply _give_up_chunks(self, bytes_p rest, Py_ssize_t size):
        # The chunks read so far are valid, and one chunk means the same to the Arbiter as many.
        cdef bytes body = PyBytes_FromStringAndSize(PyByteArray_AS_STRING(self._body), self._filled)
        cdef bytes so_far = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        cdef bytes head = self._head
        if self._left:
            so_far = so_far[: len(so_far) - self._left]
        self._reset()
        return self._arbitrate(head + so_far + PyBytes_FromStringAndSize(<const char *> rest, size))

    cdef Reply _finish(self, bytes leftover):
        cdef Reply reply = self._reply
        if self._chunked:
            PyByteArray_Resize(self._body, self._filled)
            self._last_size = self._filled
        reply.body = self._body
        self._pending = leftover
        self._reset()
        return reply

    cdef int _reset(self) except -1:
        self._reply = None
        self._head = b""
        self._body = bytearray()
        self._filled = 0
        self._chunked = False
        self._left = 0
        return 0
