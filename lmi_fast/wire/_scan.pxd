"""Small questions about bytes between a pointer and an end, for the compiled reader."""

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


cdef inline bint same_name(bytes_p text, Py_ssize_t size, bytes_p lower, Py_ssize_t lower_size) noexcept:
    """Equal but for case; `lower` is letters and hyphens in lower case, `text` is printable.

    Of printable characters only a letter becomes another one of those by the bit that is set here. Without a branch per
    character, so that the compiler makes vectors of it.
    """
    cdef Py_ssize_t i
    cdef unsigned char different = 0
    if size != lower_size:
        return False
    for i in range(size):
        different |= (text[i] | 32) ^ lower[i]
    return not different


cdef inline bint is_printable(bytes_p at, bytes_p end) noexcept:
    """Without a branch per character, so that the compiler makes vectors of it."""
    cdef Py_ssize_t i
    cdef unsigned char odd = 0
    for i in range(end - at):
        odd |= <unsigned char> (at[i] - 32) > 94
    return not odd


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
