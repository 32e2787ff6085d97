#pragma once

/// Gives back what the process has mapped of its code, libraries included. It is read again from the files, a page here
/// and there, when it is used again; what was only needed to start stays away.
void croost_forget_code(void);

/// Asks for the cache lines of an object that will be used soon. The object itself may be gone.
static inline void croost_prefetch(const void *object, long bytes) {
    for (long offset = 0; offset < bytes; offset += 64) {
        __builtin_prefetch((const char *)object + offset);
    }
}
