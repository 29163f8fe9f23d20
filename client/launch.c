/*
 * `redod launch`, which the server starts for itself: starts scripts on its order. Whoever starts a program waits until that
 * has been executed, which on busy processors takes a millisecond or more; here that holds up nobody but the next script.
 * The scripts are the server's children, not ours (CLONE_PARENT), so all that follows is as if it had started them.
 *
 * The order and the answer are redod/jobs/launcher.py's. It does not know why a script is run.
 */

#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ORDERS = 3 };         /* the socket */
enum { LARGEST = 1 << 16 };  /* bytes of an order; the server starts larger ones itself */
enum { HEAD_SIZE = 28, LIMIT_SIZE = 20, NUMBER_SIZE = 4, ANSWER_SIZE = 12, STACK_SIZE = 1 << 16 };
enum { FILES = 3, FILES_MAX = 16 }; /* standard output, standard error, completion pipe; then what is inherited, and a cgroup */

struct script {
    const unsigned char *head;
    const char *program, *cwd;
    char **argv, **environment;
    const int *files;
    int error;
    bool in_cwd;
};

static uint64_t get_long(const unsigned char *place)
{
    return (uint64_t)get(place) << 32 | get(place + 4);
}

static int set_limits(const unsigned char *head)
{
    const unsigned char *limit = head + HEAD_SIZE;

    for (uint32_t left = get(head + 16); left; left--, limit += LIMIT_SIZE) {
        struct rlimit values = {.rlim_cur = get_long(limit + 4), .rlim_max = get_long(limit + 12)};

        if (setrlimit((int)get(limit), &values) != 0)
            return -1;
    }
    return 0;
}

/* The first are its own; the others keep the numbers that they have in the server, high ones. */
static int place_files(const unsigned char *head, const int *files)
{
    const unsigned char *number = head + HEAD_SIZE + LIMIT_SIZE * get(head + 16);

    if (dup2(files[0], 1) < 0 || dup2(files[1], 2) < 0 || dup2(files[2], LOWEST_PIPE) < 0)
        return -1;
    for (uint32_t i = 0; i < get(head + 20); i++)
        if (dup2(files[FILES + i], (int)get(number + NUMBER_SIZE * i)) < 0)
            return -1;
    return 0;
}

/* How many descriptors come with an order. */
static size_t count_files(const unsigned char *head)
{
    return FILES + (size_t)get(head + 20) + get(head + 24);
}

/* In the child, which has our memory until it executes; we wait for that. */
static int become_script(void *given)
{
    struct script *script = given;

    setpgid(0, 0);
    if (place_files(script->head, script->files) != 0)
        goto failed;
    umask(get(script->head));
    script->in_cwd = chdir(script->cwd) != 0;
    if (script->in_cwd)
        goto failed;
    /* Less nice than we are it can only be made by root. */
    setpriority(PRIO_PROCESS, 0, (int)get(script->head + 4));
    if (set_limits(script->head) != 0)
        goto failed;
    execve(script->program, script->argv, script->environment);
    if (errno == ENOENT || errno == EACCES) {
        /* Perhaps it is somewhere else now. */
        environ = script->environment;
        execvp(script->argv[0], script->argv);
    }
failed:
    script->error = errno;
    _exit(127);
}

/*
 * By clone3(2), the only way to start a process in a cgroup; to move it there takes milliseconds. With our memory and a stack
 * of its own, as in clone(2), the child cannot return, so syscall(2) is of no use, and the C library has nothing else. A copy
 * of our memory would make a build 5 % slower. Returns the pid, or a negative errno.
 */
static pid_t clone_into(int cgroup, unsigned flags, char *stack, int (*begin)(void *), void *given)
{
#if defined CLONE_INTO_CGROUP && defined __x86_64__
    struct clone_args how = {
        .flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP | flags,
        .stack = (uintptr_t)stack,
        .stack_size = STACK_SIZE,
        .cgroup = (unsigned)cgroup,
    };
    long result = SYS_clone3;

    __asm__ volatile("syscall\n\t"
                     "test %0, %0\n\t"
                     "jnz 1f\n\t"
                     "mov %[given], %%rdi\n\t"
                     "call *%[begin]\n"
                     "1:"
                     : "+a"(result)
                     : "D"(&how), "S"(sizeof how), [begin] "b"(begin), [given] "d"(given)
                     : "rcx", "r11", "memory", "cc");
    return (pid_t)result;
#else
    (void)cgroup, (void)flags, (void)stack, (void)begin, (void)given;
    return -ENOSYS;
#endif
}

static int become_nothing(void *unused)
{
    (void)unused;
    _exit(0);
}

/*
 * Tried once: where cgroup.kill has been used, however long ago, on the cgroup that we are in, Linux 6.18 kills what we start
 * in one that has been made since.
 */
static bool can_clone_into(int cgroup, char *stack)
{
    static enum { UNKNOWN, CAN, CANNOT } result;
    int status = 1;

    if (result == UNKNOWN) {
        pid_t pid = clone_into(cgroup, 0, stack, become_nothing, NULL);

        result = pid > 0 && waitpid(pid, &status, __WALL) == pid && status == 0 ? CAN : CANNOT;
    }
    return result == CAN;
}

static void start(unsigned char *order, size_t size, const int *files, unsigned char answer[ANSWER_SIZE])
{
    static _Alignas(16) char stack[STACK_SIZE];
    static char *nothing[] = {NULL};
    char *text = (char *)order + HEAD_SIZE + LIMIT_SIZE * get(order + 16) + NUMBER_SIZE * get(order + 20);
    char *end = (char *)order + size;
    char **places = cut(&text, end, 2), **argv = cut(&text, end, get(order + 8));
    char **environment = cut(&text, end, get(order + 12));
    struct script script;
    int cgroup = get(order + 24) ? files[FILES + get(order + 20)] : -1;
    pid_t pid = -1;

    if (!places || !argv || !environment)
        _exit(FAILED);
    script = (struct script){
        .head = order,
        .program = places[0],
        .cwd = places[1],
        .argv = argv,
        .environment = environment,
        .files = files,
    };
    if (cgroup >= 0 && can_clone_into(cgroup, stack))
        pid = clone_into(cgroup, CLONE_PARENT, stack, become_script, &script);
    if (pid < 0)
        pid = clone(become_script, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | CLONE_PARENT | SIGCHLD, &script);

    environ = nothing;
    put(answer, 4, pid > 0 ? (uint64_t)pid : 0);
    put(answer + 4, 4, (uint64_t)(pid > 0 ? script.error : errno));
    put(answer + 8, 4, script.in_cwd);
    free(places);
    free(argv);
    free(environment);
}

/* Returns the order's size; 0: there will be no more. */
static size_t receive(unsigned char *order, int files[FILES_MAX])
{
    union {
        char bytes[CMSG_SPACE(FILES_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec place = {.iov_base = order, .iov_len = LARGEST};
    struct msghdr message = {
        .msg_iov = &place, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
    };
    const struct cmsghdr *beside;
    ssize_t size;

    do
        size = recvmsg(ORDERS, &message, MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    beside = CMSG_FIRSTHDR(&message);
    if (size < HEAD_SIZE || message.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || !beside ||
        beside->cmsg_len != CMSG_LEN(count_files(order) * sizeof(int)))
        return 0;
    memcpy(files, CMSG_DATA(beside), count_files(order) * sizeof(int));
    return (size_t)size;
}

void launch(void)
{
    static unsigned char order[LARGEST];
    unsigned char answer[ANSWER_SIZE] = {0};
    int files[FILES_MAX];
    size_t size;

    fcntl(ORDERS, F_SETFD, FD_CLOEXEC);
    /* The first says that we are here. */
    while (send(ORDERS, answer, sizeof answer, MSG_NOSIGNAL) == sizeof answer && (size = receive(order, files)) > 0) {
        start(order, size, files, answer);
        for (size_t i = 0; i < count_files(order); i++)
            close(files[i]);
    }
    _exit(0);
}
