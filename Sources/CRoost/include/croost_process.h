#pragma once
#include <stdint.h>
#include <sys/types.h>

/// What the child of `croost_spawn` becomes. Strings and arrays are borrowed for the call.
struct croost_spawn_plan {
    /// Executables to try in turn, NULL at the end.
    char *const *candidates;
    char *const *argv;
    char *const *envp;
    /// Working folder; NULL keeps the caller's.
    const char *cwd;
    /// Descriptors for 0, 1 and 2; -1 means /dev/null.
    int stdio[3];
    /// Becomes descriptor 3; -1 for none. All others are closed.
    int keep_fd;
    /// Own session, and so its own process group.
    int new_session;
    /// Fork twice, so that the process is nobody's child but init's.
    int detach;
    /// Groups, then gid, then uid are set when not 0.
    int set_ids;
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    int group_count;
    /// Control group files that the child writes itself into before it gives up its rights; NULL at the end.
    char *const *join;
    /// PR_SET_NO_NEW_PRIVS when not 0.
    int no_new_privileges;
    /// Soft limit of open files (cut to the hard limit) when not 0; no core dumps then either.
    uint64_t open_files;
    /// SIGKILL when the calling thread ends, when not 0. Not together with `detach`.
    int die_with_caller;
};

/// Where `croost_spawn` failed.
enum croost_spawn_step {
    CROOST_STEP_FORK = 1,
    CROOST_STEP_SESSION,
    CROOST_STEP_DESCRIPTORS,
    CROOST_STEP_CGROUP,
    CROOST_STEP_IDS,
    CROOST_STEP_FOLDER,
    CROOST_STEP_EXEC,
};

/// Starts a process without copying the caller's memory and returns once it runs its own program.
/// Returns 0 and sets `pid`, or an errno value and sets `step`.
int croost_spawn(const struct croost_spawn_plan *plan, pid_t *pid, int *step);

/// pidfd_open(2); -1 and errno when there is no such process.
int croost_pidfd_open(pid_t pid);
/// pidfd_send_signal(2).
int croost_pidfd_signal(int pidfd, int signal);
/// Blocks SIGTERM, SIGINT, SIGHUP and SIGCHLD, ignores SIGPIPE, and returns a non-blocking descriptor to read
/// the blocked ones from.
int croost_signal_descriptor(void);
/// Next signal number from the descriptor; 0 when there is none.
int croost_next_signal(int descriptor);
/// PR_SET_CHILD_SUBREAPER: orphans below become our children. Also names the process.
int croost_become_subreaper(const char *name);
/// A close-on-exec eventfd, for waking up a poll.
int croost_event_descriptor(void);
/// pipe2 with O_CLOEXEC; the ends are blocking.
int croost_pipe(int ends[2]);
/// Sets O_NONBLOCK.
int croost_set_nonblocking(int descriptor);
/// Exit code of a wait status, or -1.
int croost_exit_code(int status);
/// Signal that ended the process of a wait status, or 0.
int croost_end_signal(int status);
/// True (1) while the child has not ended; does not collect it.
int croost_child_runs(pid_t pid);
/// getrandom(2) until `count` bytes are there; 0, or -1.
int croost_random(void *bytes, size_t count);
/// Gives the calling thread a name (at most 15 bytes).
void croost_name_thread(const char *name);

/// syncfs(2), which Swift's Glibc does not show: writes back the file system of an open file. 0, or -1 and errno.
int croost_syncfs(int descriptor);
