/*
 * The thin client of redod: one program under every command name.
 *
 * It hands its invocation (arguments, directory, environment, descriptors 0-2) to the server over a Unix socket, relays
 * what comes back and ends as the server says; where no server runs it starts one. The contract is docs/protocol.md, and
 * redo.py beside this file is the same client in Python. What the commands mean is not known here.
 *
 * A build makes one call per target or more, so the usual way through this file is a dozen cheap system calls.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef REDOD_VERSION
#error "REDOD_VERSION is not defined: compile with -DREDOD_VERSION='\"1.2.3\"'"
#endif

#ifndef ARGUMENTS_MAX /* bytes of arguments and environment together */
#define ARGUMENTS_MAX (16 << 20)
#endif

enum { FAILED = 1, USAGE = 2 }; /* exit statuses */
enum { MAJOR = 1, MINOR = 0 };
enum { HEAD = 5, CHUNK = 65536, PAYLOAD_MAX = CHUNK + 1, BACKLOG = 4096 };
enum { LIMITS = 16 };

enum frame_type {
    INVOKE = 1, SIGNAL = 2, STDIN = 3, WINSIZE = 4,
    OUTPUT = 16, READ_STDIN = 17, EXIT = 18, REFUSED = 19,
};

enum tag {
    PROTOCOL = 1, VERSION, NAME, ARGS, CWD, ENVIRON, UMASK, RLIMITS, DESCRIPTORS, TERMINAL,
    TAGS = TERMINAL,
};

static const char *command = "redo"; /* the name we were called by */

static struct {
    unsigned open;      /* bit n: descriptor n (0-2) was open when we started */
    unsigned terminals; /* bit n: it is a terminal */
    struct winsize size;
} standard;

static int server = -1; /* the connection */

/* ---- Telling the user ------------------------------------------------------------------------------------------- */

__attribute__((noreturn, format(printf, 2, 3))) static void fail(int status, const char *format, ...)
{
    char text[2 * PATH_MAX];
    va_list values;

    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    if (standard.open & 1u << 2)
        dprintf(2, "%s: %s\n", command, text);
    _exit(status);
}

__attribute__((noreturn)) static void die_by(int number)
{
    sigset_t only;

    prctl(PR_SET_DUMPABLE, 0); /* a core of the client tells nobody anything; RLIMIT_CORE alone does not stop a core pipe */
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(number, SIG_DFL);
    sigemptyset(&only);
    sigaddset(&only, number);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    kill(getpid(), number);
    _exit(128 + number); /* a signal whose default is not to kill */
}

__attribute__((format(printf, 2, 3))) static void make_path(char path[PATH_MAX], const char *format, ...)
{
    va_list values;

    va_start(values, format);
    if (vsnprintf(path, PATH_MAX, format, values) >= PATH_MAX)
        fail(FAILED, "the path %s is too long; set REDOD_SOCKET to a shorter one", path);
    va_end(values);
}

/* ---- Descriptors 0-2 -------------------------------------------------------------------------------------------- */

/* Finds out which are open and which are terminals, with one call each. The size is that of standard error's terminal. */
static void examine_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (ioctl(fd, TIOCGWINSZ, &standard.size) == 0)
            standard.terminals |= 1u << fd;
        else if (errno == EBADF)
            continue;
        standard.open |= 1u << fd;
    }
}

/* Nothing that is opened later may become descriptor 0, 1 or 2. */
static void occupy_standard_descriptors(void)
{
    int fd;

    if (standard.open == 7)
        return;
    while ((fd = open("/dev/null", O_RDWR)) <= 2)
        if (fd < 0)
            fail(FAILED, "cannot open /dev/null: %s", strerror(errno));
    close(fd);
}

/* A closed reader of standard output ends us as it ends any filter. One of standard error only loses the text. */
static void write_output(int fd, const unsigned char *data, size_t size)
{
    while (size > 0 && standard.open & 1u << fd) {
        ssize_t n = write(fd, data, size);

        if (n >= 0) {
            data += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) { /* O_NONBLOCK is the caller's, and stays */
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        } else if (errno == EINTR) {
            continue;
        } else if (fd == 2) {
            standard.open &= ~(1u << 2);
        } else if (errno == EPIPE) {
            die_by(SIGPIPE);
        } else {
            fail(FAILED, "cannot write to standard output: %s", strerror(errno));
        }
    }
}

/* ---- Where things are ------------------------------------------------------------------------------------------- */

/* The directory of this executable, symbolic links resolved. */
static const char *bindir(void)
{
    static char path[PATH_MAX];
    ssize_t n;

    if (*path)
        return path;
    n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        fail(FAILED, "cannot read /proc/self/exe: %s; is /proc mounted?", strerror(errno));
    path[n] = 0;
    *strrchr(path, '/') = 0;
    return path;
}

/* The 64-bit FNV-1a hash. */
static uint64_t fnv1a(const char *data, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;

    while (size--)
        hash = (hash ^ (unsigned char)*data++) * 0x100000001b3u;
    return hash;
}

/* Names this install: another version, or the same one installed again, must have its own server. */
static uint64_t install_id(void)
{
    char key[PATH_MAX + 128], redo[PATH_MAX];
    struct stat st = {0};
    int size;

    make_path(redo, "%s/redo", bindir());
    if (stat(redo, &st) != 0)
        st.st_mtim = (struct timespec){0, 0};
    size = snprintf(key, sizeof key, "%s%c%s%c%lld", bindir(), 0, REDOD_VERSION, 0,
                    (long long)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
    return fnv1a(key, (size_t)size);
}

static bool is_mine(const char *directory, mode_t forbidden)
{
    struct stat st;

    return stat(directory, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & forbidden);
}

/* An environment variable that holds an absolute path, else NULL (the rule of the XDG base directories). */
static const char *path_variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value == '/' ? value : NULL;
}

/* The directory of the default socket. */
static const char *runtime_directory(void)
{
    static char path[PATH_MAX];
    const char *given = path_variable("XDG_RUNTIME_DIR"), *temporary = path_variable("TMPDIR");
    char usual[64];

    snprintf(usual, sizeof usual, "/run/user/%u", geteuid());
    if (given && is_mine(given, 0))
        make_path(path, "%s/redod", given);
    else if (is_mine(usual, 077))
        make_path(path, "%s/redod", usual);
    else
        make_path(path, "%s/redod-%u", temporary ? temporary : "/tmp", geteuid());
    return path;
}

/* Who could write there could hand us a server of his own. Returns whether the directory exists. */
static bool check_private(const char *directory)
{
    struct stat st;

    if (lstat(directory, &st) != 0) {
        if (errno == ENOENT)
            return false;
        fail(FAILED, "cannot look at %s: %s", directory, strerror(errno));
    }
    if (!S_ISDIR(st.st_mode))
        fail(FAILED, "%s is not a directory; remove it, or set REDOD_SOCKET", directory);
    if (st.st_uid != geteuid())
        fail(FAILED, "%s belongs to user %u, not to you; remove it, or set REDOD_SOCKET", directory, st.st_uid);
    if (st.st_mode & 077)
        fail(FAILED, "%s is open to others; chmod 700 it, or set REDOD_SOCKET", directory);
    return true;
}

/* The socket's path; *directory becomes the private directory to make for it, NULL for a path that the user gave. */
static const char *socket_path(const char **directory)
{
    static char path[PATH_MAX];
    const char *given = getenv("REDOD_SOCKET");

    *directory = NULL;
    if (given && *given) {
        if (*given != '/')
            fail(USAGE, "REDOD_SOCKET is %s; it must be an absolute path", given);
        return given;
    }
    *directory = runtime_directory();
    make_path(path, "%s/%016llx.sock", *directory, (unsigned long long)install_id());
    return path;
}

/* `.sock` at the end of the socket's path replaced by `.log`. */
static const char *log_path(const char *path)
{
    static char log[PATH_MAX];
    size_t size = strlen(path);

    if (size > 5 && memcmp(path + size - 5, ".sock", 5) == 0)
        size -= 5;
    make_path(log, "%.*s.log", (int)size, path);
    return log;
}

/* ---- Connecting ------------------------------------------------------------------------------------------------- */

typedef int address_call(int, const struct sockaddr_un *);

static int connect_to(int fd, const struct sockaddr_un *address)
{
    return connect(fd, (const struct sockaddr *)address, sizeof *address);
}

static int bind_to(int fd, const struct sockaddr_un *address)
{
    return bind(fd, (const struct sockaddr *)address, sizeof *address);
}

/* Calls connect or bind with the path, a long one through a descriptor of its directory (unix(7): 108 bytes at most). */
static int call_with_address(address_call *call, int fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *name = strrchr(path, '/') + 1;
    char directory[PATH_MAX];
    int held, result, error;

    if (strlen(path) < sizeof address.sun_path) {
        strcpy(address.sun_path, path);
        return call(fd, &address);
    }
    make_path(directory, "%.*s", (int)(name - path), path);
    held = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (held < 0)
        return -1;
    result = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", held, name);
    if (result >= (int)sizeof address.sun_path)
        fail(FAILED, "the socket's name %s is too long; set REDOD_SOCKET to a shorter one", name);
    result = call(fd, &address);
    error = errno;
    close(held);
    errno = error;
    return result;
}

static int new_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        fail(FAILED, "cannot make a socket: %s", strerror(errno));
    return fd;
}

/* Whether a server answered; then it is `server`. */
static bool connect_server(const char *path)
{
    int fd = new_socket();

    if (call_with_address(connect_to, fd, path) == 0) {
        server = fd;
        return true;
    }
    if (errno != ENOENT && errno != ECONNREFUSED)
        fail(FAILED, "cannot connect to %s: %s; is it another user's?", path, strerror(errno));
    close(fd);
    return false;
}

/* ---- Starting the server ---------------------------------------------------------------------------------------- */

/* The directory may still have to be made. Returns a descriptor that holds the lock until it is closed. */
static int take_lock(const char *path, const char *directory)
{
    char name[PATH_MAX];
    int fd;

    if (directory && mkdir(directory, 0700) != 0 && errno != EEXIST)
        fail(FAILED, "cannot make %s: %s; set REDOD_SOCKET to another place", directory, strerror(errno));
    if (directory)
        check_private(directory);
    make_path(name, "%s.lock", path);
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0)
        fail(FAILED, "cannot lock %s: %s; set REDOD_SOCKET to another place", name, strerror(errno));
    return fd;
}

/* Only with the lock held, and after an attempt to connect: then a socket at that path is a dead server's. */
static int listen_at(const char *path)
{
    struct stat st;
    int fd = new_socket();

    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
    if (call_with_address(bind_to, fd, path) != 0 || listen(fd, BACKLOG) != 0)
        fail(FAILED, "cannot listen at %s: %s; remove what is there, or set REDOD_SOCKET", path, strerror(errno));
    return fd;
}

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
__attribute__((noreturn)) static void exec_server(char **arguments)
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

static void close_from(int first)
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

/* Passes the listening socket on as systemd does: sd_listen_fds(3). Ignored and blocked signals are the caller's, not the server's. */
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

__attribute__((noreturn)) static void become_daemon(int listening, int log, const char *path)
{
    static char run[] = "run";
    int null = open("/dev/null", O_RDWR);

    if (null < 0 || chdir("/") != 0)
        _exit(FAILED);
    umask(077);
    dup2(null, 0);
    dup2(null, 1);
    dup2(log, 2);
    standard.open = 7;
    reduce_environment();
    prepare_server(listening, path);
    exec_server((char *[]){run, NULL});
}

/* Two forks: the server is no child of ours, and being no session leader it cannot come by a terminal. */
static void spawn_server(int listening, const char *path)
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
            become_daemon(listening, log_fd, path);
        _exit(child < 0 ? FAILED : 0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        fail(FAILED, "cannot start the server: fork failed; end some processes and try again");
    close(log_fd);
}

/* The lock makes one of many clients start the server; the kernel queues us until it accepts, so nobody polls. */
static void start_server(const char *path, const char *directory)
{
    mode_t mask = umask(077);
    int lock = take_lock(path, directory);

    if (!connect_server(path)) {
        int listening;

        server_program();
        listening = listen_at(path);
        spawn_server(listening, path);
        if (!connect_server(path))
            fail(FAILED, "the server did not start; see %s", log_path(path));
        close(listening);
    }
    close(lock);
    umask(mask);
}

/* ---- The invocation --------------------------------------------------------------------------------------------- */

struct message {
    struct iovec parts[1 + 2 * TAGS];
    size_t count, size;
    unsigned char heads[1 + TAGS][HEAD];
};

static void put(unsigned char *place, unsigned bytes, uint64_t value)
{
    while (bytes--) {
        place[bytes] = (unsigned char)value;
        value >>= 8;
    }
}

static void put_head(unsigned char head[HEAD], enum frame_type type, size_t size)
{
    put(head, 4, size);
    head[4] = (unsigned char)type;
}

/* Adds a field by reference: the value must live until the message is sent. */
static void add_field(struct message *message, enum tag tag, const void *value, size_t size)
{
    unsigned char *head = message->heads[tag];

    head[0] = (unsigned char)tag;
    put(head + 1, 4, size);
    message->parts[message->count++] = (struct iovec){head, HEAD};
    message->parts[message->count++] = (struct iovec){(void *)(uintptr_t)value, size};
    message->size += HEAD + size;
}

/* Adds strings, each with its NUL. execve(2) lays them out one behind the other, so as a rule nothing is copied. */
static void add_strings(struct message *message, enum tag tag, char **strings)
{
    bool together = true;
    char *copy, *end;
    size_t size = 0;

    for (char **string = strings; *string; string++) {
        together = together && *string == strings[0] + size;
        size += strlen(*string) + 1;
    }
    if (together) {
        add_field(message, tag, strings[0], size);
        return;
    }
    end = copy = malloc(size);
    if (!copy)
        fail(FAILED, "out of memory");
    for (char **string = strings; *string; string++)
        end = stpcpy(end, *string) + 1;
    add_field(message, tag, copy, size);
}

/* glibc's getcwd(3) walks up the tree itself where the path is longer than the kernel's PATH_MAX. */
static const char *working_directory(void)
{
    static char usual[PATH_MAX];
    char *path = getcwd(usual, sizeof usual);

    if (!path && (errno == ERANGE || errno == ENAMETOOLONG))
        path = getcwd(NULL, 0);
    if (!path && errno == ENOENT)
        fail(FAILED, "the current directory no longer exists; change to one that does");
    if (!path)
        fail(FAILED, "cannot find the current directory: %s; change to another one", strerror(errno));
    return path;
}

static void get_limits(unsigned char value[16 * LIMITS])
{
    for (int i = 0; i < LIMITS; i++) {
        struct rlimit limit = {0, 0};

        getrlimit((__rlimit_resource_t)i, &limit);
        put(value + 16 * i, 8, limit.rlim_cur);
        put(value + 16 * i + 8, 8, limit.rlim_max);
    }
}

static uint32_t get_umask(void)
{
    mode_t mask = umask(0);

    umask(mask);
    return mask;
}

/* Attaches those of descriptors 0-2 that are open. */
static void attach_descriptors(struct msghdr *header, char control[CMSG_SPACE(3 * sizeof(int))])
{
    int fds[3], count = 0;
    struct cmsghdr *rights;

    for (int fd = 0; fd <= 2; fd++)
        if (standard.open & 1u << fd)
            fds[count++] = fd;
    if (count == 0)
        return;
    header->msg_control = control;
    header->msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
    rights = CMSG_FIRSTHDR(header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
    memcpy(CMSG_DATA(rights), fds, (size_t)count * sizeof(int));
}

/* The descriptors go with the first byte. A server that has closed already may have said why: that is read later. */
static void send_message(struct message *message)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))] = {0};
    struct msghdr header = {.msg_iov = message->parts, .msg_iovlen = message->count};
    size_t left = message->size + HEAD;

    attach_descriptors(&header, control);
    for (;;) {
        ssize_t n = sendmsg(server, &header, MSG_NOSIGNAL);

        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return;
        if (n < 0 && errno != EINTR)
            fail(FAILED, "cannot talk to the server: %s", strerror(errno));
        if (n <= 0)
            continue;
        if ((left -= (size_t)n) == 0)
            return;
        header.msg_control = NULL;
        header.msg_controllen = 0;
        for (; (size_t)n >= header.msg_iov->iov_len; header.msg_iov++, header.msg_iovlen--)
            n -= (ssize_t)header.msg_iov->iov_len;
        header.msg_iov->iov_base = (char *)header.msg_iov->iov_base + n;
        header.msg_iov->iov_len -= (size_t)n;
    }
}

static void send_invocation(char **arguments, const char *cwd)
{
    unsigned char protocol[4], mask[4], limits[16 * LIMITS], descriptors = (unsigned char)standard.open, terminal[5];
    struct message message = {.parts = {{message.heads[0], HEAD}}, .count = 1};

    put(protocol, 2, MAJOR);
    put(protocol + 2, 2, MINOR);
    put(mask, 4, get_umask());
    get_limits(limits);
    terminal[0] = (unsigned char)standard.terminals;
    put(terminal + 1, 2, standard.size.ws_row);
    put(terminal + 3, 2, standard.size.ws_col);

    add_field(&message, PROTOCOL, protocol, sizeof protocol);
    add_field(&message, VERSION, REDOD_VERSION, strlen(REDOD_VERSION));
    add_field(&message, NAME, command, strlen(command));
    add_field(&message, CWD, cwd, strlen(cwd));
    add_field(&message, UMASK, mask, sizeof mask);
    add_field(&message, RLIMITS, limits, sizeof limits);
    add_field(&message, DESCRIPTORS, &descriptors, 1);
    add_field(&message, TERMINAL, terminal, sizeof terminal);
    size_t others = message.size + 2 * HEAD;
    add_strings(&message, ARGS, arguments);
    add_strings(&message, ENVIRON, environ);
    if (message.size - others > ARGUMENTS_MAX)
        fail(USAGE, "arguments and environment are longer than %d bytes; name fewer targets at once", ARGUMENTS_MAX);
    put_head(message.heads[0], INVOKE, message.size);
    send_message(&message);
}

/* ---- Standard input, for those who ask -------------------------------------------------------------------------- */

static struct {
    bool asked, wanted;                /* READ_STDIN came; and the end was not sent yet */
    size_t size, sent;                 /* of the frame on its way; equal when there is none */
    unsigned char frame[HEAD + CHUNK];
} input;

/* A signal handler may send frames of its own, but never into the middle of one. */
static volatile sig_atomic_t mid_frame, signal_waiting, resize_waiting;

static void send_signal(int number);
static void send_size(void);

static void send_input(void)
{
    ssize_t n;

    mid_frame = 1;
    n = send(server, input.frame + input.sent, input.size - input.sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        input.sent += (size_t)n;
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        input.wanted = false; /* the server wants no more; what it says is read next */
        input.sent = input.size;
    }
    if (input.sent < input.size)
        return;
    if (input.size == HEAD)
        input.wanted = false;
    mid_frame = 0;
    if (signal_waiting)
        send_signal(signal_waiting);
    if (resize_waiting)
        send_size();
}

static void read_input(void)
{
    ssize_t n = read(0, input.frame + HEAD, CHUNK);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0)
        fail(FAILED, "cannot read standard input: %s", strerror(errno));
    put_head(input.frame, STDIN, (size_t)n);
    input.size = HEAD + (size_t)n;
    input.sent = 0;
    send_input();
}

/* Both directions at once: a server that is busy writing to us may not be reading. Returns when there is something to receive. */
static void stream_input(void)
{
    while (input.wanted) {
        bool sending = input.sent < input.size;
        struct pollfd ready[] = {
            {.fd = server, .events = (short)(sending ? POLLIN | POLLOUT : POLLIN)},
            {.fd = sending ? -1 : 0, .events = POLLIN},
        };

        if (poll(ready, 2, -1) < 0)
            continue;
        if (ready[0].revents & ~POLLOUT)
            return;
        if (ready[0].revents & POLLOUT)
            send_input();
        if (ready[1].revents)
            read_input();
    }
}

/* ---- Signals ---------------------------------------------------------------------------------------------------- */

static const int forwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static bool caught[sizeof forwarded / sizeof *forwarded];

static void send_signal(int number)
{
    unsigned char frame[HEAD + 1];

    put_head(frame, SIGNAL, 1);
    frame[HEAD] = (unsigned char)number;
    signal_waiting = 0;
    send(server, frame, sizeof frame, MSG_NOSIGNAL);
}

static void send_size(void)
{
    unsigned char frame[HEAD + 4];
    struct winsize size;
    int terminal = standard.terminals & 4 ? 2 : standard.terminals & 2 ? 1 : 0;

    resize_waiting = 0;
    if (ioctl(terminal, TIOCGWINSZ, &size) != 0)
        return;
    put_head(frame, WINSIZE, 4);
    put(frame + HEAD, 2, size.ws_row);
    put(frame + HEAD + 2, 2, size.ws_col);
    send(server, frame, sizeof frame, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The frame is sent from the handler, so that it also goes out while we are stuck writing to a full pipe. */
static void on_signal(int number)
{
    int error = errno;

    for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
        if (caught[i])
            signal(forwarded[i], SIG_DFL); /* the next one kills at once */
    if (mid_frame)
        signal_waiting = number;
    else
        send_signal(number);
    errno = error;
}

static void on_resize(int number)
{
    int error = errno;

    (void)number;
    if (mid_frame)
        resize_waiting = 1;
    else
        send_size();
    errno = error;
}

/* Only now, with the invocation sent: until here to die is the right answer to a signal. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_NODEFER}, old;

    for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++) {
        sigaction(forwarded[i], NULL, &old);
        caught[i] = old.sa_handler != SIG_IGN;
        if (caught[i])
            sigaction(forwarded[i], &action, NULL);
    }
    action = (struct sigaction){.sa_handler = on_resize, .sa_flags = SA_RESTART};
    if (standard.terminals)
        sigaction(SIGWINCH, &action, NULL);
}

/* ---- What the server says --------------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void refuse_frame(unsigned type, size_t size)
{
    fail(FAILED, "the server sent a frame of type %u and %zu bytes that this client does not know; "
         "stop the server (redod stop) and try again", type, size);
}

static void obey(unsigned type, const unsigned char *payload, size_t size)
{
    if (type == OUTPUT && size >= 1 && (payload[0] == 1 || payload[0] == 2))
        write_output(payload[0], payload + 1, size - 1);
    else if (type == READ_STDIN && size == 0 && !input.asked)
        input.asked = input.wanted = true;
    else if (type == EXIT && size == 2 && payload[0] == 0)
        _exit(payload[1]);
    else if (type == EXIT && size == 2 && payload[0] == 1)
        die_by(payload[1]);
    else if (type == REFUSED && size >= 1)
        fail(payload[0], "%.*s", (int)(size - 1), (const char *)payload + 1);
    else
        refuse_frame(type, size);
}

/* Obeys the frames that are complete; returns how many bytes they took. */
static size_t obey_all(const unsigned char *data, size_t size)
{
    size_t used = 0;

    while (size - used >= HEAD) {
        const unsigned char *head = data + used;
        size_t length = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];

        if (length > PAYLOAD_MAX)
            refuse_frame(head[4], length);
        if (size - used < HEAD + length)
            break;
        obey(head[4], head + HEAD, length);
        used += HEAD + length;
    }
    return used;
}

__attribute__((noreturn)) static void relay(const char *path)
{
    static unsigned char data[2 * (HEAD + PAYLOAD_MAX)];
    size_t size = 0;

    for (;;) {
        size_t used;
        ssize_t n;

        stream_input();
        n = recv(server, data + size, sizeof data - size, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            fail(FAILED, "the server ended without an answer; see %s, then try again", log_path(path));
        size += (size_t)n;
        used = obey_all(data, size);
        size -= used;
        memmove(data, data + used, size);
    }
}

/* ---- redod ------------------------------------------------------------------------------------------------------ */

static const char redod_usage[] =
    "usage: redod COMMAND\n"
    "  run              serve in the foreground, log to standard error\n"
    "  status [--json]  what the server is doing\n"
    "  stop             end the server\n"
    "  socket           print the path of the server's socket\n"
    "  units            systemd user units for this install\n"
    "The redo commands start a server by themselves. redod --version prints the version.\n";

static bool is_socket_activated(void)
{
    const char *pid = getenv("LISTEN_PID");

    return getenv("LISTEN_FDS") && pid && strtol(pid, NULL, 10) == getpid();
}

__attribute__((noreturn)) static void run_server(char **arguments, const char *path, const char *directory)
{
    if (!is_socket_activated()) {
        mode_t mask = umask(077);

        server_program();
        take_lock(path, directory); /* let go by execve(2) */
        if (connect_server(path))
            fail(FAILED, "redod is already running; redod stop ends it");
        prepare_server(listen_at(path), path);
        umask(mask);
    }
    exec_server(arguments);
}

__attribute__((noreturn)) static void print(int fd, const char *text, int status)
{
    write_output(fd, (const unsigned char *)text, strlen(text));
    _exit(status);
}

__attribute__((noreturn)) static void print_socket(const char *path)
{
    char line[PATH_MAX + 2];

    snprintf(line, sizeof line, "%s\n", path);
    print(1, line, 0);
}

/* What redod does without a server; returns for the subcommands that ask a running one. */
static void without_server(char **arguments)
{
    const char *word = arguments[0], *directory, *path;

    if (!word)
        print(2, redod_usage, USAGE);
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        print(1, redod_usage, 0);
    if (strcmp(word, "units") == 0)
        exec_server(arguments);
    path = socket_path(&directory);
    if (strcmp(word, "run") == 0)
        run_server(arguments, path, directory);
    if (strcmp(word, "socket") == 0)
        print_socket(path);
}

/* ---- Everything ------------------------------------------------------------------------------------------------- */

static void print_version(void)
{
    char line[PATH_MAX];

    snprintf(line, sizeof line, "%s (redod) " REDOD_VERSION "\n", command);
    print(1, line, 0);
}

/* redod asks a running server and starts none. */
static void find_server(const char *path, const char *directory, char **arguments)
{
    if ((!directory || check_private(directory)) && connect_server(path))
        return;
    if (strcmp(command, "redod") != 0)
        start_server(path, directory);
    else
        print(2, "redod is not running\n", strcmp(arguments[0], "stop") == 0 ? 0 : FAILED);
}

int main(int argc, char **argv)
{
    char **arguments = argv + (argc > 0);
    const char *cwd, *path, *directory;

    if (argc > 0 && *argv[0])
        command = basename(argv[0]);
    signal(SIGPIPE, SIG_IGN);
    examine_standard_descriptors();
    occupy_standard_descriptors();
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        print_version();
    if (strcmp(command, "redod") == 0)
        without_server(arguments);
    cwd = working_directory();
    path = socket_path(&directory);
    find_server(path, directory, arguments);
    send_invocation(arguments, cwd);
    catch_signals();
    relay(path);
}
