# cython: language_level=3
"""Tells the C library how the memory of many threads is best kept: the compiled twin of `_malloc_py.py`."""

cdef extern from *:
    """
    #include <stdlib.h>
    #ifdef __GLIBC__
    #include <malloc.h>
    #define one_malloc_arena() mallopt(M_ARENA_MAX, 1)
    #else
    #define one_malloc_arena() 0
    #endif
    """
    int one_malloc_arena()


def use_one_arena():
    """One arena for all threads. Returns whether that is so now.

    glibc gives each thread an arena of its own, up to eight for each core, and each keeps the largest event its thread
    ever had. Under one interpreter lock they hardly serve a purpose.
    """
    return bool(one_malloc_arena())
