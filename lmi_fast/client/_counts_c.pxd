cdef class Counts:
    cdef readonly Py_ssize_t invocations
    cdef readonly Py_ssize_t answers
    cdef readonly Py_ssize_t bytes_received
    cdef readonly Py_ssize_t bytes_sent
    cdef readonly double handling
    cdef readonly double handler_max
    cdef readonly Py_ssize_t reparks
    cdef readonly double reparking
    cdef readonly double repark_max
    cdef readonly double empty_since
    cdef readonly double saturated

    cpdef double came(self, Py_ssize_t size) noexcept
    cpdef double answered(self, double began, Py_ssize_t size) noexcept
    cpdef void parked(self, double ended, bint first) noexcept
    cpdef void emptied(self) noexcept
