#define _GNU_SOURCE
#include "croost_socket.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { EVENTS_MAX = 512 };

long croost_receive(int descriptor, void *bytes, size_t count) {
    return syscall(SYS_recvfrom, descriptor, bytes, count, MSG_DONTWAIT, NULL, NULL);
}

long croost_send(int descriptor, const void *bytes, size_t count) {
    return syscall(SYS_sendto, descriptor, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
}

long croost_send_all(int descriptor, const void *parts, size_t count) {
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = count};
    return syscall(SYS_sendmsg, descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

long croost_send_file(int descriptor, int file, long offset, size_t count) {
    off_t position = offset;
    return sendfile(descriptor, file, &position, count);
}

int croost_accept(int listener, void *address, size_t address_size) {
    socklen_t size = (socklen_t)address_size;
    return accept4(listener, address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

int croost_epoll(void) { return epoll_create1(EPOLL_CLOEXEC); }

int croost_wait(int epoll, struct croost_event *events, int count_max, int timeout_ms) {
    struct epoll_event found[EVENTS_MAX];
    int count = epoll_wait(epoll, found, count_max < EVENTS_MAX ? count_max : EVENTS_MAX, timeout_ms);
    for (int index = 0; index < count; index++) {
        uint32_t bits = found[index].events;
        events[index].source = found[index].data.ptr;
        events[index].what = (bits & EPOLLIN ? CROOST_READABLE : 0) | (bits & EPOLLOUT ? CROOST_WRITABLE : 0) |
                             (bits & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? CROOST_ENDED : 0) |
                             (bits & EPOLLERR ? CROOST_BROKEN : 0) | (bits & EPOLLPRI ? CROOST_URGENT : 0);
    }
    return count;
}

static int watch(int epoll, int descriptor, void *source, uint32_t events) {
    struct epoll_event event = {.events = events, .data = {.ptr = source}};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event);
}

int croost_watch_changes(int epoll, int descriptor, void *source) {
    return watch(epoll, descriptor, source, EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET);
}

int croost_watch_input(int epoll, int descriptor, void *source) { return watch(epoll, descriptor, source, EPOLLIN); }

int croost_unwatch(int epoll, int descriptor) {
    struct epoll_event event = {0};
    return epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, &event);
}

int croost_waker(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
