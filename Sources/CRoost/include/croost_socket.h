#pragma once
#include <stddef.h>
#include <stdint.h>

// Reading and writing are cancellation points of threads in libc, which costs each call; nobody cancels these threads.

/// Reads what is there into `bytes`; the count, 0 at the end, -1 with errno.
long croost_receive(int descriptor, void *bytes, size_t count);

/// Writes as much as the socket takes; the count, -1 with errno. No signal when the other side is gone.
long croost_send(int descriptor, const void *bytes, size_t count);

/// The same for several stretches of memory, given as an array of `iovec`.
long croost_send_all(int descriptor, const void *parts, size_t count);

/// The same for a part of a file; 0 at the end of the file. Raises SIGPIPE when the other side is gone.
long croost_send_file(int descriptor, int file, long offset, size_t count);

/// Takes the next connection of a listening socket, and who made it (a `sockaddr_storage`); -1 with errno.
int croost_accept(int listener, void *address, size_t address_size);

/// What happened to a descriptor.
struct croost_event {
    /// As it was given to watch.
    void *source;
    /// Of `croost_ready`.
    uint32_t what;
};

enum croost_ready {
    CROOST_READABLE = 1,
    CROOST_WRITABLE = 2,
    /// The other side sends nothing more, or the connection is broken.
    CROOST_ENDED = 4,
    /// It is broken.
    CROOST_BROKEN = 8,
    /// There is urgent data (RFC 6093), before which a read stops.
    CROOST_URGENT = 16,
};

/// A set of watched descriptors; -1 with errno.
int croost_epoll(void);

/// Waits until something happened, at most so long; -1 is for ever. The count, at most `count_max` and 512.
int croost_wait(int epoll, struct croost_event *events, int count_max, int timeout_ms);

/// Tells of every change of a socket once.
int croost_watch_changes(int epoll, int descriptor, void *source);

/// Tells of a descriptor as long as it is readable.
int croost_watch_input(int epoll, int descriptor, void *source);

int croost_unwatch(int epoll, int descriptor);

/// A descriptor by which one thread wakes another; -1 with errno.
int croost_waker(void);
