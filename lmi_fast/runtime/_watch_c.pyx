# cython: language_level=3
"""Notices that a thread stays away: the compiled twin of `_watch_py.py`.

The waiting thread looks without the interpreter lock. A thread that wants that lock while another one computes is woken
each time it is given up, most often in vain: for short handlers that was a third of all their CPU.
"""

cdef extern from *:
    """
    #include <pthread.h>
    #include <time.h>
    #ifdef __APPLE__  /* there, conditions know the wall clock only */
    #define LMI_CLOCK CLOCK_REALTIME
    #define pthread_condattr_setclock(attributes, clock) 0
    #else
    #define LMI_CLOCK CLOCK_MONOTONIC
    #endif

    typedef struct {
        pthread_mutex_t mutex;
        pthread_cond_t bell;
        double left;
        int looking, rung;
    } lmi_watch;

    static double lmi_now(void) {
        struct timespec now;
        clock_gettime(LMI_CLOCK, &now);
        return now.tv_sec + now.tv_nsec / 1e9;
    }

    static void lmi_init(lmi_watch *watch) {
        pthread_condattr_t attributes;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, LMI_CLOCK);
        pthread_mutex_init(&watch->mutex, NULL);
        pthread_cond_init(&watch->bell, &attributes);
        pthread_condattr_destroy(&attributes);
        watch->left = 0.0;
        watch->looking = watch->rung = 0;
    }

    static void lmi_leave(lmi_watch *watch) {
        pthread_mutex_lock(&watch->mutex);
        watch->left = lmi_now();
        if (!watch->looking) {
            watch->looking = 1;
            pthread_cond_signal(&watch->bell);
        }
        pthread_mutex_unlock(&watch->mutex);
    }

    static void lmi_back(lmi_watch *watch) {
        pthread_mutex_lock(&watch->mutex);
        watch->left = 0.0;
        pthread_mutex_unlock(&watch->mutex);
    }

    static void lmi_ring(lmi_watch *watch) {
        pthread_mutex_lock(&watch->mutex);
        watch->rung = 1;
        pthread_cond_signal(&watch->bell);
        pthread_mutex_unlock(&watch->mutex);
    }

    static void lmi_wait(lmi_watch *watch, double patience) {
        pthread_mutex_lock(&watch->mutex);
        while (!watch->rung) {
            watch->looking = watch->left != 0.0;
            if (watch->looking) {
                double until = watch->left + patience;
                struct timespec when;
                if (until <= lmi_now())
                    break;
                when.tv_sec = (time_t)until;
                when.tv_nsec = (long)((until - when.tv_sec) * 1e9);
                pthread_cond_timedwait(&watch->bell, &watch->mutex, &when);
            } else {
                pthread_cond_wait(&watch->bell, &watch->mutex);
            }
        }
        watch->rung = 0;
        pthread_mutex_unlock(&watch->mutex);
    }

    static void lmi_destroy(lmi_watch *watch) {
        pthread_cond_destroy(&watch->bell);
        pthread_mutex_destroy(&watch->mutex);
    }
    """
    ctypedef struct lmi_watch:
        pass
    void lmi_init(lmi_watch *) nogil
    void lmi_leave(lmi_watch *) nogil
    void lmi_back(lmi_watch *) nogil
    void lmi_ring(lmi_watch *) nogil
    void lmi_wait(lmi_watch *, double) nogil
    void lmi_destroy(lmi_watch *) nogil


cdef class Watch:
    """One thread leaves and comes back; another one waits until it stays away. Any thread may ring."""

    cdef lmi_watch _watch

    def __cinit__(self):
        lmi_init(&self._watch)

    def __dealloc__(self):
        lmi_destroy(&self._watch)

    def leave(self):
        """From now on the thread is away."""
        lmi_leave(&self._watch)

    def back(self):
        """The thread is there again."""
        lmi_back(&self._watch)

    def ring(self):
        """Ends a wait, the next one if there is none."""
        lmi_ring(&self._watch)

    def wait(self, double patience):
        """Waits until the thread has been away for `patience` seconds, or for ring()."""
        with nogil:
            lmi_wait(&self._watch, patience)
