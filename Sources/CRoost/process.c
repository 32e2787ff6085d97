#define _GNU_SOURCE
#include "croost_process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

enum { STACK_SIZE = 64 * 1024 };

/// Shared with the child, which runs on the caller's memory until its exec.
struct shared {
    const struct croost_spawn_plan *plan;
    char *inner_stack;
    volatile pid_t pid;
    volatile int error;
    volatile int step;
};

static void fail(struct shared *shared, int step) {
    shared->error = errno ? errno : EIO;
    shared->step = step;
    _exit(127);
}

static int move_descriptors(const struct croost_spawn_plan *plan) {
    int source[4];
    int count = plan->keep_fd >= 0 ? 4 : 3;
    for (int i = 0; i < 3; i++) {
        int fd = plan->stdio[i] >= 0 ? plan->stdio[i] : open("/dev/null", O_RDWR | O_CLOEXEC);
        // Out of the way of 0 to 3, so that no dup2 below overwrites a source.
        source[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 16);
        if (source[i] < 0) return -1;
    }
    if (count == 4 && (source[3] = fcntl(plan->keep_fd, F_DUPFD_CLOEXEC, 16)) < 0) return -1;
    for (int i = 0; i < count; i++)
        if (dup2(source[i], i) < 0) return -1;
    if (syscall(SYS_close_range, count, ~0U, 0) == 0) return 0;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
    for (rlim_t fd = count; fd < limit.rlim_cur && fd < 1048576; fd++) close((int)fd);
    return 0;
}

static int join_groups(char *const *join) {
    for (; join && *join; join++) {
        int fd = open(*join, O_WRONLY | O_CLOEXEC);
        if (fd < 0) return -1;
        ssize_t written = write(fd, "0", 1);
        int error = errno;
        close(fd);
        errno = error;
        if (written != 1) return -1;
    }
    return 0;
}

// Raw system calls: the libc wrappers would change every thread of the process whose memory we borrow.
static int take_identity(const struct croost_spawn_plan *plan) {
    if (plan->open_files) {
        struct rlimit limit;
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
        limit.rlim_cur = plan->open_files < limit.rlim_max ? plan->open_files : limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
        struct rlimit none = {0, 0};
        if (setrlimit(RLIMIT_CORE, &none) != 0) return -1;
    }
    if (plan->set_ids) {
        if (syscall(SYS_setgroups, plan->group_count, plan->groups) != 0) return -1;
        if (syscall(SYS_setresgid, plan->gid, plan->gid, plan->gid) != 0) return -1;
        if (syscall(SYS_setresuid, plan->uid, plan->uid, plan->uid) != 0) return -1;
    }
    // After the change of identity, which would clear it.
    if (plan->die_with_caller && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return -1;
    return plan->no_new_privileges ? prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) : 0;
}

static int become(void *argument) {
    struct shared *shared = argument;
    const struct croost_spawn_plan *plan = shared->plan;
    errno = 0;
    for (int signal = 1; signal < _NSIG; signal++) {
        struct sigaction action = {.sa_handler = SIG_DFL};
        // Fails for SIGKILL, SIGSTOP and the two that libc keeps for itself.
        sigaction(signal, &action, NULL);
    }
    if (plan->new_session && setsid() < 0) fail(shared, CROOST_STEP_SESSION);
    if (join_groups(plan->join) != 0) fail(shared, CROOST_STEP_CGROUP);
    if (move_descriptors(plan) != 0) fail(shared, CROOST_STEP_DESCRIPTORS);
    if (take_identity(plan) != 0) fail(shared, CROOST_STEP_IDS);
    if (plan->cwd && chdir(plan->cwd) != 0) fail(shared, CROOST_STEP_FOLDER);
    umask(022);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int denied = 0;
    for (char *const *path = plan->candidates; *path; path++) {
        execve(*path, plan->argv, plan->envp);
        if (errno == EACCES) denied = 1;
        else if (errno != ENOENT && errno != ENOTDIR) break;
    }
    if (denied && (errno == ENOENT || errno == ENOTDIR)) errno = EACCES;
    fail(shared, CROOST_STEP_EXEC);
    return 127;
}

static int become_in_between(void *argument) {
    struct shared *shared = argument;
    pid_t pid = clone(become, shared->inner_stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | SIGCHLD, shared);
    if (pid < 0) fail(shared, CROOST_STEP_FORK);
    shared->pid = pid;
    _exit(0);
}

int croost_spawn(const struct croost_spawn_plan *plan, pid_t *pid, int *step) {
    struct shared shared = {.plan = plan};
    char *stacks = mmap(NULL, 2 * STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    *step = CROOST_STEP_FORK;
    if (stacks == MAP_FAILED) return errno;
    shared.inner_stack = stacks + STACK_SIZE;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pid_t child = clone(plan->detach ? become_in_between : become, stacks + STACK_SIZE,
                        CLONE_VM | CLONE_VFORK | SIGCHLD, &shared);
    int error = child < 0 ? errno : shared.error;
    if (child > 0 && (plan->detach || error)) {
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    munmap(stacks, 2 * STACK_SIZE);
    if (error) {
        if (shared.step) *step = shared.step;
        return error;
    }
    *pid = plan->detach ? shared.pid : child;
    return 0;
}

int croost_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int croost_pidfd_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

int croost_signal_descriptor(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) return -1;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int croost_next_signal(int descriptor) {
    struct signalfd_siginfo info;
    ssize_t count = read(descriptor, &info, sizeof info);
    return count == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

int croost_become_subreaper(const char *name) {
    prctl(PR_SET_NAME, name, 0, 0, 0);
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

int croost_event_descriptor(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int croost_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int croost_set_nonblocking(int descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    return flags < 0 ? -1 : fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

int croost_exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }

int croost_end_signal(int status) { return WIFSIGNALED(status) ? WTERMSIG(status) : 0; }

int croost_child_runs(pid_t pid) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return 0;
    return info.si_pid == 0;
}

int croost_random(void *bytes, size_t count) {
    unsigned char *at = bytes;
    while (count > 0) {
        ssize_t got = getrandom(at, count, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return -1;
        at += got;
        count -= (size_t)got;
    }
    return 0;
}

void croost_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

int croost_syncfs(int descriptor) { return syncfs(descriptor); }
