/*
 * The quick way of a call that a script makes. Such a call is nearly always answered at once, and then to make the C
 * library ready costs more than all the rest: it asks for the processor's features, a hundred times, and each time a
 * virtual machine stops (0.2 of 0.45 ms). So the static redo-ifchange begins here, with system calls of its own and
 * nothing of the library, not even errno (x86-64 only, see meson.build). Whatever is unusual is left to the usual way,
 * which begins afterwards as if nothing had been, or with the connection on which the answer is still awaited.
 */

#include "client.h"

#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

#ifndef QUICK_PATIENCE /* milliseconds; while they last, a signal just ends us */
#define QUICK_PATIENCE 100
#endif

enum { LARGEST = 32768 };

void quick(char **stack);

/* The kernel leaves the arguments on the stack (System V ABI), and the library is to find all as the kernel left it. */
__asm__(".globl quick_start\n"
        "quick_start:\n"
        "    mov %rsp, %rbx\n"
        "    mov %rsp, %rdi\n"
        "    and $-16, %rsp\n"
        "    call quick\n"
        "    mov %rbx, %rsp\n"
        "    xor %ebp, %ebp\n"
        "    xor %edx, %edx\n"
        "    jmp _start\n");

static long call(long number, long a, long b, long c, long d)
{
    register long fourth __asm__("r10") = d, fifth __asm__("r8") = 0, sixth __asm__("r9") = 0;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
    return result;
}

static size_t length(const char *string)
{
    size_t size = 0;

    while (string[size])
        size++;
    return size;
}

/* What follows `start` in a string that begins with it. */
static const char *after(const char *start, const char *string)
{
    while (*start && *start == *string)
        start++, string++;
    return *start ? NULL : string;
}

/* The bytes of strings that lie one behind the other, as execve(2) lays them; more than LARGEST if they do not. */
static size_t together(char **strings)
{
    size_t size = 0;

    for (char **string = strings; *string; string++) {
        if (*string != *strings + size)
            return LARGEST + 1;
        size += length(*string) + 1;
    }
    return size;
}

/* ---- The invocation, as invoke.c makes it ------------------------------------------------------------------------ */

struct invocation {
    unsigned char start[HEAD + HEAD + 4 + HEAD], environment_head[HEAD]; /* up to the arguments; before the environment */
    unsigned char rest[PATH_MAX + NAME_MAX + 1024];
    size_t rest_size, size;
    struct iovec parts[5];
};

static void put_field_head(unsigned char *head, enum tag tag, size_t size)
{
    head[0] = (unsigned char)tag;
    put(head + 1, 4, size);
}

/* Adds a field to the rest; its value is to be written. */
static unsigned char *add_field(struct invocation *made, enum tag tag, size_t size)
{
    unsigned char *head = made->rest + made->rest_size;

    put_field_head(head, tag, size);
    made->rest_size += HEAD + size;
    return head + HEAD;
}

static void add_text(struct invocation *made, enum tag tag, const char *text, size_t size)
{
    unsigned char *value = add_field(made, tag, size);

    for (size_t i = 0; i < size; i++)
        value[i] = (unsigned char)text[i];
}

static void add_umask(struct invocation *made)
{
    long mask = call(SYS_umask, 0, 0, 0, 0);

    call(SYS_umask, mask, 0, 0, 0);
    put(add_field(made, UMASK, 4), 4, (uint64_t)mask);
}

static void add_limits(struct invocation *made)
{
    unsigned char *value = add_field(made, RLIMITS, 16 * LIMITS);

    for (int i = 0; i < LIMITS; i++) {
        struct rlimit limit = {0, 0};

        call(SYS_prlimit64, 0, i, 0, (long)&limit);
        put(value + 16 * i, 8, limit.rlim_cur);
        put(value + 16 * i + 8, 8, limit.rlim_max);
    }
}

/* False where one of the descriptors 0-2 is closed. */
static bool add_descriptors(struct invocation *made)
{
    unsigned char *value = add_field(made, TERMINAL, 5);
    struct winsize size = {0, 0, 0, 0};
    unsigned terminals = 0;

    for (int fd = 0; fd <= 2; fd++) {
        long result = call(SYS_ioctl, fd, TIOCGWINSZ, (long)&size, 0);

        if (result == -EBADF)
            return false;
        terminals |= (unsigned)(result == 0) << fd;
    }
    value[0] = (unsigned char)terminals;
    put(value + 1, 2, size.ws_row);
    put(value + 3, 2, size.ws_col);
    *add_field(made, DESCRIPTORS, 1) = 7;
    return true;
}

static bool add_directory(struct invocation *made)
{
    char path[PATH_MAX];
    long size = call(SYS_getcwd, (long)path, sizeof path, 0, 0);

    if (size <= 1 || path[0] != '/')
        return false;
    add_text(made, CWD, path, (size_t)size - 1);
    return true;
}

/* What differs from call to call comes first: the server need not look at the rest again (redod/protocol). */
static bool make_invocation(struct invocation *made, const char *name, char **arguments, char **environment)
{
    size_t arguments_size = together(arguments), environment_size = together(environment);

    if (arguments_size > LARGEST || environment_size > LARGEST || length(name) > NAME_MAX)
        return false;
    made->rest_size = 0;
    add_text(made, VERSION, REDOD_VERSION, sizeof REDOD_VERSION - 1);
    add_text(made, NAME, name, length(name));
    add_umask(made);
    add_limits(made);
    if (!add_directory(made) || !add_descriptors(made))
        return false;
    put_field_head(made->start + HEAD, PROTOCOL, 4);
    put(made->start + 2 * HEAD, 4, MAJOR << 16 | MINOR);
    put_field_head(made->start + 2 * HEAD + 4, ARGS, arguments_size);
    put_field_head(made->environment_head, ENVIRON, environment_size);
    made->parts[0] = (struct iovec){made->start, sizeof made->start};
    made->parts[1] = (struct iovec){*arguments, arguments_size};
    made->parts[2] = (struct iovec){made->environment_head, HEAD};
    made->parts[3] = (struct iovec){*environment, environment_size};
    made->parts[4] = (struct iovec){made->rest, made->rest_size};
    made->size = sizeof made->start + arguments_size + HEAD + environment_size + made->rest_size;
    put_head(made->start, INVOKE, made->size - HEAD);
    return true;
}

/* ---- The connection ---------------------------------------------------------------------------------------------- */

static bool connect_short_path(int server, const char *path)
{
    struct sockaddr_un address;
    size_t size = length(path) + 1;

    if (size > sizeof address.sun_path)
        return false;
    address.sun_family = AF_UNIX;
    for (size_t i = 0; i < size; i++)
        address.sun_path[i] = path[i];
    return call(SYS_connect, server, (long)&address, sizeof address, 0) == 0;
}

/* Sends all of it, with the descriptors 0-2. What does not go in one piece does not go this way. */
static bool send_invocation_at_once(int server, struct invocation *made)
{
    struct { /* a cmsghdr and its data */
        size_t size;
        int level, type, fds[3];
    } rights = {CMSG_LEN(3 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS, {0, 1, 2}};
    struct msghdr message = {0, 0, made->parts, 5, &rights, CMSG_SPACE(3 * sizeof(int)), 0};

    return call(SYS_sendmsg, server, (long)&message, MSG_NOSIGNAL, 0) == (long)made->size;
}

/* Ends as the server says, if it says so now and nothing else before. What it says is left to be read again. */
static void await_exit(int server)
{
    struct pollfd ready = {.fd = server, .events = POLLIN};
    unsigned char frame[HEAD + 2];

    if (call(SYS_poll, (long)&ready, 1, QUICK_PATIENCE, 0) != 1)
        return;
    if (call(SYS_recvfrom, server, (long)frame, sizeof frame, MSG_PEEK | MSG_DONTWAIT) != sizeof frame)
        return;
    if (frame[3] == 2 && frame[4] == EXIT && frame[5] == 0 && !(frame[0] | frame[1] | frame[2]))
        for (;;)
            call(SYS_exit_group, frame[6], 0, 0, 0);
}

/* Called by quick_start. `stack`: the number of arguments, the arguments, NULL, the environment, NULL. */
void quick(char **stack)
{
    char **arguments = stack + 1, **environment = arguments + (size_t)*stack + 1;
    const char *path = NULL, *job = NULL, *name;
    struct invocation invocation;
    int server;

    for (char **variable = environment; *variable; variable++) {
        path = path ? path : after("REDOD_SOCKET=", *variable);
        job = job ? job : after("REDO_JOB=", *variable);
    }
    /* --version needs no server, nor does some of redod. */
    if (!job || !*job || !path || *path != '/' || !*arguments || (arguments[1] && *arguments[1] == '-'))
        return;
    name = *arguments;
    for (const char *letter = name; *letter; letter++)
        name = *letter == '/' ? letter + 1 : name;
    if (!after("redo-", name) || !make_invocation(&invocation, name, arguments + 1, environment))
        return;
    server = (int)call(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, 0);
    if (server < 0)
        return;
    if (connect_short_path(server, path) && send_invocation_at_once(server, &invocation)) {
        await_exit(server);
        quick_connection = server;
    } else {
        call(SYS_close, server, 0, 0, 0);
    }
}
