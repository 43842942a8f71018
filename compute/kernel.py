"""The one way a numba kernel is compiled here: cached on disk, releasing the lock to other sessions."""

from numba import njit

kernel = njit(cache=True, nogil=True)
