# cython: language_level=3
"""Sends and receives on a socket that does not block: the compiled twin of `_stream_py.py`.

The interpreter lock is kept: these calls take microseconds and never wait. A thread that gives it up gets it back when
whoever took it meanwhile gives it up, which costs two changes of threads for each call.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_SetFromErrno
from libc.errno cimport EAGAIN, EINTR, errno
from libc.string cimport memset

from ..wire._http1_c cimport Reader
from ..wire._scan cimport bytes_p

cdef extern from "<sys/socket.h>" nogil:
    """
    #include <sys/uio.h>
    #ifndef MSG_NOSIGNAL  /* macOS: CPython ignores SIGPIPE anyway */
    #define MSG_NOSIGNAL 0
    #endif
    """
    int MSG_DONTWAIT
    int MSG_NOSIGNAL
    ssize_t recv(int, void *, size_t, int)
    ssize_t sendmsg(int, msghdr *, int)
    struct iovec:
        void *iov_base
        size_t iov_len
    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen


cdef class Stream:
    """A connected socket."""

    def __init__(self, sock):
        self._sock = sock
        self._fd = sock.fileno()

    cpdef Py_ssize_t send(self, bytes head, bytes body, bytes tail) except -1:
        """Sends the three in one write: how many bytes of them were taken, 0 when none can be now. Raises OSError."""
        cdef iovec parts[3]
        cdef msghdr message
        cdef Py_ssize_t sent
        memset(&message, 0, sizeof(message))
        message.msg_iov = parts
        message.msg_iovlen = 3
        fill(&parts[0], head)
        fill(&parts[1], body)
        fill(&parts[2], tail)
        while True:
            sent = sendmsg(self._fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
            if sent >= 0:
                return sent
            if errno == EAGAIN:
                return 0
            if errno != EINTR:
                PyErr_SetFromErrno(OSError)

    cpdef Py_ssize_t receive(self, Reader reader) except -2:
        """Receives into reader.buffer(): how many bytes, 0 at the end, -1 when none are there now. Raises OSError."""
        cdef Py_ssize_t size
        cdef bytes_p room = reader.room(&size)
        cdef Py_ssize_t count
        while True:
            count = recv(self._fd, <void *> room, size, MSG_DONTWAIT)
            if count >= 0:
                return count
            if errno == EAGAIN:
                return -1
            if errno != EINTR:
                PyErr_SetFromErrno(OSError)


cdef inline void fill(iovec *part, bytes data) noexcept:
    part.iov_base = PyBytes_AS_STRING(data)
    part.iov_len = PyBytes_GET_SIZE(data)
