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

struct frame {
    size_t size;
    unsigned char bytes[2 * HEAD + PATH_MAX + NAME_MAX + 1024]; /* all but the arguments and the environment */
};

/* Adds a field; the bytes after its head are to be written by the caller, or to be sent from elsewhere. */
static unsigned char *add_head(struct frame *frame, enum tag tag, size_t size)
{
    unsigned char *head = frame->bytes + frame->size;

    head[0] = (unsigned char)tag;
    put(head + 1, 4, size);
    frame->size += HEAD;
    return head + HEAD;
}

static unsigned char *add_field(struct frame *frame, enum tag tag, size_t size)
{
    unsigned char *value = add_head(frame, tag, size);

    frame->size += size;
    return value;
}

static void add_text(struct frame *frame, enum tag tag, const char *text, size_t size)
{
    unsigned char *value = add_field(frame, tag, size);

    for (size_t i = 0; i < size; i++)
        value[i] = (unsigned char)text[i];
}

static void add_umask(struct frame *frame)
{
    long mask = call(SYS_umask, 0, 0, 0, 0);

    call(SYS_umask, mask, 0, 0, 0);
    put(add_field(frame, UMASK, 4), 4, (uint64_t)mask);
}

static void add_limits(struct frame *frame)
{
    unsigned char *value = add_field(frame, RLIMITS, 16 * LIMITS);

    for (int i = 0; i < LIMITS; i++) {
        struct rlimit limit = {0, 0};

        call(SYS_prlimit64, 0, i, 0, (long)&limit);
        put(value + 16 * i, 8, limit.rlim_cur);
        put(value + 16 * i + 8, 8, limit.rlim_max);
    }
}

/* False where one of the descriptors 0-2 is closed. */
static bool add_descriptors(struct frame *frame)
{
    unsigned char *value = add_field(frame, TERMINAL, 5);
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
    *add_field(frame, DESCRIPTORS, 1) = 7;
    return true;
}

static bool add_directory(struct frame *frame)
{
    char path[PATH_MAX];
    long size = call(SYS_getcwd, (long)path, sizeof path, 0, 0);

    if (size <= 1 || path[0] != '/')
        return false;
    add_text(frame, CWD, path, (size_t)size - 1);
    return true;
}

struct invocation {
    struct frame frame;
    unsigned char environment_head[HEAD];
    struct iovec parts[4];
    size_t size;
};

static bool make_invocation(struct invocation *made, const char *name, char **arguments, char **environment)
{
    size_t arguments_size = together(arguments), environment_size = together(environment);
    struct frame *frame = &made->frame;

    if (arguments_size > LARGEST || environment_size > LARGEST || length(name) > NAME_MAX)
        return false;
    frame->size = HEAD;
    put(add_field(frame, PROTOCOL, 4), 4, MAJOR << 16 | MINOR);
    add_text(frame, VERSION, REDOD_VERSION, sizeof REDOD_VERSION - 1);
    add_text(frame, NAME, name, length(name));
    add_umask(frame);
    add_limits(frame);
    if (!add_directory(frame) || !add_descriptors(frame))
        return false;
    add_head(frame, ARGS, arguments_size);
    made->environment_head[0] = ENVIRON;
    put(made->environment_head + 1, 4, environment_size);
    made->parts[0] = (struct iovec){frame->bytes, frame->size};
    made->parts[1] = (struct iovec){*arguments, arguments_size};
    made->parts[2] = (struct iovec){made->environment_head, HEAD};
    made->parts[3] = (struct iovec){*environment, environment_size};
    made->size = frame->size + arguments_size + HEAD + environment_size;
    put_head(frame->bytes, INVOKE, made->size - HEAD);
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
    struct msghdr message = {0, 0, made->parts, 4, &rights, CMSG_SPACE(3 * sizeof(int)), 0};

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
