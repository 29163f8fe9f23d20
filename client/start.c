/*
 * Starting the server, where none answers: in the background for the first client that wants one, in the foreground
 * for `redod run`. It owns the lock, the hand-over of the listening socket, and what a server inherits of us
 * (docs/protocol.md, "Finding and starting the server"). What a server does is not known here.
 */

#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void make_private(const char *directory)
{
    if (directory && mkdir(directory, 0700) != 0 && errno != EEXIST)
        fail(FAILED, "cannot make %s: %s; set REDOD_SOCKET to another place", directory, strerror(errno));
    if (directory)
        check_private(directory);
}

/* The directory may still have to be made. Returns a descriptor that holds the lock until it is closed. */
static int take_lock(const char *path, const char *directory)
{
    char name[PATH_MAX];
    int fd;

    make_private(directory);
    make_path(name, "%s.lock", path);
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0)
        fail(FAILED, "cannot lock %s: %s; set REDOD_SOCKET to another place", name, strerror(errno));
    return fd;
}

static char run[] = "run";

static bool in_venv(void)
{
    char path[PATH_MAX];

    make_path(path, "%s/../pyvenv.cfg", bindir());
    return access(path, F_OK) == 0;
}

/* The server's program: the venv's Python, else the script that the installer gave the right interpreter. */
static const char *server_program(void)
{
    static char path[PATH_MAX];

    make_path(path, "%s/%s", bindir(), in_venv() ? "python3" : "redod-server");
    if (access(path, X_OK) != 0)
        fail(FAILED, "cannot run %s: %s; install redod again", path, strerror(errno));
    return path;
}

/* Becomes `redod ARGUMENTS` in Python. */
void exec_server(char **arguments)
{
    static const char *const python[] = {"-I", "-X", "utf8", "-m", "redod"};
    const char *program = server_program();
    size_t count = 0, used = 0;
    const char **argv;

    while (arguments[count])
        count++;
    argv = calloc(count + 7, sizeof *argv);
    if (!argv)
        fail(FAILED, "out of memory");
    argv[used++] = program;
    for (size_t i = 0; in_venv() && i < 5; i++)
        argv[used++] = python[i];
    memcpy(argv + used, arguments, count * sizeof *argv);
    signal(SIGPIPE, SIG_DFL);
    execv(program, (char **)argv);
    fail(FAILED, "cannot run %s: %s; install redod again", program, strerror(errno));
}

void close_from(int first)
{
    struct rlimit limit;

#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)first, ~0u, 0) == 0)
        return;
#endif
    getrlimit(RLIMIT_NOFILE, &limit);
    for (rlim_t fd = (rlim_t)first; fd < limit.rlim_cur; fd++)
        close((int)fd);
}

/*
 * Passes the listening socket on as systemd does: sd_listen_fds(3). Ignored and blocked signals are the caller's, not
 * the server's.
 */
static void prepare_server(int listening, const char *path)
{
    sigset_t none;
    char pid[16];

    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (listening == 3)
        fcntl(3, F_SETFD, 0);
    else
        dup2(listening, 3);
    close_from(4);
    snprintf(pid, sizeof pid, "%d", getpid());
    if (setenv("LISTEN_FDS", "1", 1) != 0 || setenv("LISTEN_PID", pid, 1) != 0 || setenv("REDOD_SOCKET", path, 1) != 0)
        fail(FAILED, "out of memory");
}

/* Of the script that has called us: what is started here is no part of its job. */
void leave_cgroup(void)
{
    const char *directory = getenv("REDO_CGROUP");
    char path[PATH_MAX];
    int processes;

    if (!directory)
        return;
    make_path(path, "%s/cgroup.procs", directory);
    processes = open(path, O_WRONLY | O_CLOEXEC);
    if (processes < 0)
        return;
    /* Us. Where that fails we end with the job, if it is given up. */
    if (write(processes, "0", 1) < 0)
        errno = 0;
    close(processes);
}

/* Whether the server may inherit this `NAME=value`: of its first client it keeps nothing else. */
static bool is_for_server(const char *variable)
{
    static const char *const names[] = {
        "HOME=", "USER=", "LOGNAME=", "PATH=", "LANG=", "LC_", "TZ=", "TMPDIR=",
        "XDG_RUNTIME_DIR=", "XDG_STATE_HOME=", "CI=", "REDOD_",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static void reduce_environment(void)
{
    char **kept = environ;

    for (char **variable = environ; *variable; variable++)
        if (is_for_server(*variable))
            *kept++ = *variable;
    *kept = NULL;
}

__attribute__((noreturn)) static void become_daemon(char **arguments, int listening, int log, const char *path)
{
    int null = open("/dev/null", O_RDWR);

    if (null < 0 || chdir("/") != 0)
        _exit(FAILED);
    umask(077);
    dup2(null, 0);
    dup2(null, 1);
    dup2(log, 2);
    standard.open = 7;
    leave_cgroup();
    reduce_environment();
    prepare_server(listening, path);
    exec_server(arguments);
}

/* Two forks: the server is no child of ours, and being no session leader it cannot come by a terminal. */
static void spawn_server(char **arguments, int listening, const char *path)
{
    const char *log = log_path(path);
    int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    int status = 0;
    pid_t child;

    if (log_fd < 0)
        fail(FAILED, "cannot open %s: %s", log, strerror(errno));
    child = fork();
    if (child == 0) {
        setsid();
        child = fork();
        if (child == 0)
            become_daemon(arguments, listening, log_fd, path);
        _exit(child < 0 ? FAILED : 0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        fail(FAILED, "cannot start the server: fork failed; end some processes and try again");
    close(log_fd);
}

/* Connects first: a server without a client, and one that serves but one, may end at once. */
static int listen_and_spawn(char **arguments, const char *path)
{
    int listening, server;

    server_program();
    listening = listen_at(path);
    server = connect_server(path);
    if (server < 0)
        fail(FAILED, "the server's socket %s is gone; try again", path);
    spawn_server(arguments, listening, path);
    close(listening);
    return server;
}

/* The lock makes one of many clients start the server; the kernel queues us until it accepts, so nobody polls. */
int start_server(const char *path, const char *directory)
{
    mode_t mask = umask(077);
    int lock = take_lock(path, directory);
    int server = connect_server(path);

    if (server < 0)
        server = listen_and_spawn((char *[]){run, NULL}, path);
    close(lock);
    umask(mask);
    return server;
}

/* An instance for this invocation, and what its scripts ask for. */
int start_private_server(const char *path, const char *directory)
{
    static char alone[] = "--alone";
    mode_t mask = umask(077);
    int server;

    make_private(directory);
    server = listen_and_spawn((char *[]){run, alone, NULL}, path);
    umask(mask);
    return server;
}

static bool is_socket_activated(void)
{
    const char *pid = getenv("LISTEN_PID");

    return getenv("LISTEN_FDS") && pid && strtol(pid, NULL, 10) == getpid();
}

void run_server(char **arguments, const char *path, const char *directory)
{
    if (!is_socket_activated()) {
        mode_t mask = umask(077);

        server_program();
        take_lock(path, directory); /* let go by execve(2) */
        if (connect_server(path) >= 0)
            fail(FAILED, "redod is already running; redod stop ends it");
        prepare_server(listen_at(path), path);
        umask(mask);
    }
    exec_server(arguments);
}
