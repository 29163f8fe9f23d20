/*
 * The invocation: what the caller gave us (arguments, directory, environment, umask, limits, descriptors 0-2, a make's
 * jobserver) as the one INVOKE frame of docs/protocol.md, sent without copying what is long. What the server makes of it
 * is not known here.
 */

#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef ARGUMENTS_MAX /* bytes of arguments and environment together */
#define ARGUMENTS_MAX (16 << 20)
#endif

struct message {
    struct iovec parts[1 + 2 * TAGS];
    size_t count, size;
    unsigned char heads[1 + TAGS][HEAD];
};

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
const char *working_directory(void)
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

/* What MAKEFLAGS has behind the last option that names a jobserver, before the variables of make's command line. */
static const char *named_jobserver(const char *flags)
{
    static const char *const options[] = {"--jobserver-auth=", "--jobserver-fds="};
    const char *end = strncmp(flags, "-- ", 3) == 0 ? flags : strstr(flags, " -- "), *found = "";

    for (const char *word = flags; *word && word != end; word++)
        for (int i = 0; i < 2; i++)
            if ((word == flags || word[-1] == ' ') && strncmp(word, options[i], strlen(options[i])) == 0)
                found = word + strlen(options[i]);
    return found;
}

/*
 * The jobserver of the make around us, unless it has none, or has closed it for us (a recipe without a +): then what it
 * names may be anything. In a script the server knows it all.
 */
static bool find_jobserver(int ends[2])
{
    const char *flags = getenv("MAKEFLAGS"), *job = getenv("REDO_JOB");
    struct stat one, other;

    return flags && !(job && *job) && sscanf(named_jobserver(flags), "%d,%d", &ends[0], &ends[1]) == 2 &&
           fstat(ends[0], &one) == 0 && fstat(ends[1], &other) == 0 && S_ISFIFO(one.st_mode) &&
           S_ISFIFO(other.st_mode) && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* Lists those of descriptors 0-2 that are open, and then those of a jobserver. */
static int list_descriptors(int fds[DESCRIPTORS_MAX])
{
    int count = 0;

    for (int fd = 0; fd <= 2; fd++)
        if (standard.open & 1u << fd)
            fds[count++] = fd;
    return find_jobserver(fds + count) ? count + 2 : count;
}

static void attach(struct msghdr *header, char control[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))], const int *fds,
                   int count)
{
    struct cmsghdr *rights;

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

/*
 * The descriptors go with the first byte. Returns false where the server has closed already; it may have said why: that
 * is read later.
 */
static bool send_message(int server, struct message *message, const int *fds, int count)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))] = {0};
    struct msghdr header = {.msg_iov = message->parts, .msg_iovlen = message->count};
    size_t left = message->size + HEAD;

    attach(&header, control, fds, count);
    for (;;) {
        ssize_t n = sendmsg(server, &header, MSG_NOSIGNAL);

        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return false;
        if (n < 0 && errno != EINTR)
            fail(FAILED, "cannot talk to the server: %s", strerror(errno));
        if (n <= 0)
            continue;
        if ((left -= (size_t)n) == 0)
            return true;
        header.msg_control = NULL;
        header.msg_controllen = 0;
        for (; (size_t)n >= header.msg_iov->iov_len; header.msg_iov++, header.msg_iovlen--)
            n -= (ssize_t)header.msg_iov->iov_len;
        header.msg_iov->iov_base = (char *)header.msg_iov->iov_base + n;
        header.msg_iov->iov_len -= (size_t)n;
    }
}

/* Returns whether all of it was sent. */
bool send_invocation(int server, char **arguments, const char *cwd)
{
    unsigned char protocol[4], mask[4], limits[16 * LIMITS], descriptors = (unsigned char)standard.open, terminal[5];
    struct message message = {.parts = {{message.heads[0], HEAD}}, .count = 1};
    int fds[DESCRIPTORS_MAX], count = list_descriptors(fds);

    put(protocol, 2, MAJOR);
    put(protocol + 2, 2, MINOR);
    put(mask, 4, get_umask());
    get_limits(limits);
    terminal[0] = (unsigned char)standard.terminals;
    put(terminal + 1, 2, standard.size.ws_row);
    put(terminal + 3, 2, standard.size.ws_col);

    add_field(&message, PROTOCOL, protocol, sizeof protocol);
    size_t before = message.size + 2 * HEAD;
    add_strings(&message, ARGS, arguments);
    add_strings(&message, ENVIRON, environ);
    if (message.size - before > ARGUMENTS_MAX)
        fail(USAGE, "arguments and environment are longer than %d bytes; name fewer targets at once", ARGUMENTS_MAX);
    add_field(&message, VERSION, REDOD_VERSION, strlen(REDOD_VERSION));
    add_field(&message, NAME, command, strlen(command));
    add_field(&message, CWD, cwd, strlen(cwd));
    add_field(&message, UMASK, mask, sizeof mask);
    add_field(&message, RLIMITS, limits, sizeof limits);
    add_field(&message, DESCRIPTORS, &descriptors, 1);
    add_field(&message, TERMINAL, terminal, sizeof terminal);
    if (count > __builtin_popcount(standard.open))
        add_field(&message, JOBSERVER, "", 0);
    put_head(message.heads[0], INVOKE, message.size);
    return send_message(server, &message, fds, count);
}
