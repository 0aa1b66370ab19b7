"""Small questions about bytes between a pointer and an end, for the compiled reader."""

from libc.stdint cimport uint64_t
from libc.string cimport memcpy

ctypedef const unsigned char *bytes_p

cdef extern from "Python.h":
    unicode PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    void *PyUnicode_DATA(object text)


cdef inline unicode ascii_text(bytes_p text, Py_ssize_t size):
    """A str of bytes that are known to be ASCII."""
    cdef unicode made = PyUnicode_New(size, 127)
    memcpy(PyUnicode_DATA(made), text, size)
    return made


cdef inline uint64_t eight(bytes_p at) noexcept:
    """Bytes at a time, whether or not a compiler that was asked for small code makes vectors of loops."""
    cdef uint64_t word
    memcpy(&word, at, 8)
    return word


cdef inline bint same_name(bytes_p text, Py_ssize_t size, bytes_p lower, Py_ssize_t lower_size) noexcept:
    """Equal but for case; `lower` is letters and hyphens in lower case, `text` is printable.

    Of printable characters only a letter becomes another one of those by the bit that is set here.
    """
    cdef Py_ssize_t i = 0
    cdef uint64_t different = 0
    if size != lower_size:
        return False
    while i + 8 <= size:
        different |= (eight(text + i) | 0x2020202020202020ULL) ^ eight(lower + i)
        i += 8
    while i < size:
        different |= (text[i] | 32) ^ lower[i]
        i += 1
    return not different


cdef inline bint is_printable(bytes_p at, bytes_p end) noexcept:
    """Whether all are from 32 to 126. In eight that are, no byte borrows from the next or carries into it, and no
    highest bit is set by taking 32 off, by adding one, or to begin with.
    """
    cdef uint64_t odd = 0, word
    while at + 8 <= end:
        word = eight(at)
        odd |= word | (word - 0x2020202020202020ULL) | (word + 0x0101010101010101ULL)
        at += 8
    while at < end:
        odd |= at[0] | (at[0] - 32) | (at[0] + 1)
        at += 1
    return not odd & 0x8080808080808080ULL


cdef inline long long number(bytes_p text, Py_ssize_t size) noexcept:
    """Of up to 18 decimal digits; 0 for anything else."""
    cdef long long value = 0
    cdef Py_ssize_t i
    if size > 18:
        return 0
    for i in range(size):
        if not 48 <= text[i] <= 57:
            return 0
        value = 10 * value + (text[i] - 48)
    return value


cdef inline int hex_digit(unsigned char c) noexcept:
    if 48 <= c <= 57:
        return c - 48
    c |= 32
    if 97 <= c <= 102:
        return c - 87
    return -1
