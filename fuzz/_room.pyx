# cython: language_level=3
"""Tells the sanitizer what it cannot know: where Python's objects end, and which bytes a reader may read.

Python cuts small objects out of large blocks, so that running out of one into the next goes unseen. While it is told to
watch, each has a block of its own; at other times not, because that makes Python several times as slow.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_GET_BUFFER
from libc.string cimport memcpy

from lmi_fast.wire._http1_c cimport Reader
from lmi_fast.wire._scan cimport bytes_p

cdef extern from "sanitizer/asan_interface.h":
    void ASAN_POISON_MEMORY_REGION(const void *, size_t)
    void ASAN_UNPOISON_MEMORY_REGION(const void *, size_t)

cdef extern from "Python.h":
    ctypedef enum PyMemAllocatorDomain:
        PYMEM_DOMAIN_MEM
        PYMEM_DOMAIN_OBJ
    ctypedef struct PyMemAllocatorEx:
        void *ctx
        void *(*malloc)(void *ctx, size_t size) noexcept
        void *(*calloc)(void *ctx, size_t count, size_t size) noexcept
        void *(*realloc)(void *ctx, void *at, size_t size) noexcept
        void (*free)(void *ctx, void *at) noexcept
    void PyMem_GetAllocator(PyMemAllocatorDomain, PyMemAllocatorEx *)
    void PyMem_SetAllocator(PyMemAllocatorDomain, PyMemAllocatorEx *)
    void *PyMem_RawMalloc(size_t) noexcept
    void *PyMem_RawCalloc(size_t, size_t) noexcept

cdef bint watching = False
cdef PyMemAllocatorEx usual[2]


cdef void *_malloc(void *domain, size_t size) noexcept:
    cdef PyMemAllocatorEx *old = <PyMemAllocatorEx *> domain
    return PyMem_RawMalloc(size) if watching else old.malloc(old.ctx, size)


cdef void *_calloc(void *domain, size_t count, size_t size) noexcept:
    cdef PyMemAllocatorEx *old = <PyMemAllocatorEx *> domain
    return PyMem_RawCalloc(count, size) if watching else old.calloc(old.ctx, count, size)


# Python's own functions leave what is not of their blocks to malloc's: large objects, and what was made while watching.
cdef void *_realloc(void *domain, void *at, size_t size) noexcept:
    cdef PyMemAllocatorEx *old = <PyMemAllocatorEx *> domain
    return _malloc(domain, size) if at == NULL else old.realloc(old.ctx, at, size)


cdef void _free(void *domain, void *at) noexcept:
    cdef PyMemAllocatorEx *old = <PyMemAllocatorEx *> domain
    old.free(old.ctx, at)


cdef int _begin() except -1:
    cdef PyMemAllocatorDomain[2] domains = [PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ]
    cdef PyMemAllocatorEx ours
    cdef int i
    for i in range(2):
        PyMem_GetAllocator(domains[i], &usual[i])
        ours = PyMemAllocatorEx(ctx=&usual[i], malloc=_malloc, calloc=_calloc, realloc=_realloc, free=_free)
        PyMem_SetAllocator(domains[i], &ours)
    return 0


_begin()


def watch(bint on):
    """Watches from now on, or not; whether it did before."""
    global watching
    cdef bint before = watching
    watching = on
    return before


def feed(Reader reader not None, bytes piece not None, scratch):
    """Receives as client/_stream_c.pyx does: how much of `piece`, and the reply.

    All of the scratch buffer is forbidden but for the bytes just received, and those only within received(): reading a
    byte too many, or later what another reader may have put there by then, is reported although it is in the buffer.
    """
    cdef Py_ssize_t size
    cdef bytes_p room
    cdef Py_ssize_t count
    cdef object view = memoryview(scratch)
    cdef bytes_p shared = <bytes_p> PyMemoryView_GET_BUFFER(view).buf
    room = reader.room(&size)
    count = min(size, PyBytes_GET_SIZE(piece))
    if count <= 0:
        raise AssertionError("the reader has no room, and no reply")
    ASAN_UNPOISON_MEMORY_REGION(room, size)
    memcpy(<void *> room, PyBytes_AS_STRING(piece), count)
    ASAN_POISON_MEMORY_REGION(room + count, size - count)
    try:
        reply = reader.received(count)
    finally:
        # A body that is whole is no longer the reader's, and was filled to its end.
        if room != shared and count < size:
            ASAN_UNPOISON_MEMORY_REGION(room, size)
    ASAN_POISON_MEMORY_REGION(shared, view.nbytes)
    return count, reply
