# cython: language_level=3
"""Two calls of the C library that Python does not have: the compiled twin of `_system_py.py`."""

cdef extern from *:
    """
    #include <signal.h>
    #include <stdlib.h>
    #ifdef __GLIBC__
    #include <malloc.h>
    #define one_malloc_arena() mallopt(M_ARENA_MAX, 1)
    #else
    #define one_malloc_arena() 0
    #endif
    #ifdef __linux__
    #include <sys/prctl.h>
    #define killed_with_parent() (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
    #else
    #define killed_with_parent() 0
    #endif
    """
    int one_malloc_arena()
    int killed_with_parent()


def use_one_arena():
    """One malloc arena for all threads. Returns whether that is so now.

    glibc gives each thread an arena of its own, up to eight for each core, and each keeps the largest event its thread
    ever had. Under one interpreter lock they hardly serve a purpose.
    """
    return bool(one_malloc_arena())


def die_with_parent():
    """The kernel kills this process when the thread that forked it ends. Returns whether it will."""
    return bool(killed_with_parent())
