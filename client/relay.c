/*
 * The time between the invocation and its end: what the server sends is written out or obeyed, while send.c sends what
 * it is to know (docs/protocol.md). What was asked for is not known here.
 */

#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAYLOAD_MAX = CHUNK + 1 };

static int server;                          /* the connection */
static int beside[JOB_FILES], beside_count; /* descriptors that came, for the next START_JOB */

/* Takes in bytes, and the descriptors that come with them. */
static ssize_t receive(unsigned char *place, size_t size)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(JOB_FILES * sizeof(int))];
    struct iovec part = {place, size};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control,
    };
    ssize_t n = recvmsg(server, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *rights = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;

    if (rights && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
        beside_count = (int)((rights->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(beside, CMSG_DATA(rights), (size_t)beside_count * sizeof(int));
    }
    return n;
}

__attribute__((noreturn)) static void refuse_frame(unsigned type, size_t size)
{
    fail(FAILED, "the server sent a frame of type %u and %zu bytes that this client does not know; "
         "stop the server (redod stop) and try again", type, size);
}

static void obey_start(const unsigned char order[JOB_SIZE])
{
    start_for_server(order, beside, beside_count);
    while (beside_count > 0)
        close(beside[--beside_count]);
}

static void obey_status(const unsigned char *line, size_t size)
{
    catch_stop();
    if (!interrupted)
        show_status(line, size);
}

__attribute__((noreturn)) static void leave(int status)
{
    hide_status();
    _exit(status);
}

static bool told_alone; /* to start an instance of our own */
static bool goes_on; /* to go on with the next server when this one ends */

static bool write_alone(const unsigned char *text, size_t size)
{
    if (size > 0 && standard.open & 1u << 2)
        dprintf(2, "%s: %.*s\n", command, (int)size, (const char *)text);
    return true;
}

static void obey(unsigned type, const unsigned char *payload, size_t size)
{
    if (type == OUTPUT && size >= 1 && (payload[0] == 1 || payload[0] == 2))
        write_output(payload[0], payload + 1, size - 1);
    else if (type == READ_STDIN && size == 0 && ask_input())
        ;
    else if (type == START_JOB && size == JOB_SIZE)
        obey_start(payload);
    else if (type == SETTLE && size == 0)
        send_settled();
    else if (type == STATUS)
        obey_status(payload, size);
    else if (type == EXIT && size == 2 && payload[0] == 0)
        leave(payload[1]);
    else if (type == EXIT && size == 2 && payload[0] == 1)
        die_by(payload[1]);
    else if (type == ALONE)
        told_alone = write_alone(payload, size);
    else if (type == GO_ON && size == 0)
        goes_on = true;
    else if (type == REFUSED && size >= 1)
        fail(payload[0], "%.*s", (int)(size - 1), (const char *)payload + 1);
    else
        refuse_frame(type, size);
}

/* Obeys the frames that are complete; returns how many bytes they took. */
static size_t obey_all(const unsigned char *data, size_t size)
{
    size_t used = 0;

    while (size - used >= HEAD && !told_alone) {
        const unsigned char *head = data + used;
        size_t length = get(head);

        if (length > PAYLOAD_MAX)
            refuse_frame(head[4], length);
        if (size - used < HEAD + length)
            break;
        obey(head[4], head + HEAD, length);
        used += HEAD + length;
    }
    return used;
}

/*
 * Whether a server that has gone without a word cannot have acted on the invocation: it was not all sent, or (unix(7),
 * ECONNRESET) not all read.
 */
static bool is_unread(bool sent, ssize_t received)
{
    return !sent_more && (!sent || (received < 0 && errno == ECONNRESET));
}

/*
 * `sent`: the whole invocation was; `again`: it may be sent to another server. Returns true when the server says that
 * it needs an instance of its own, false when it is to be sent again.
 */
bool relay(int connection, const char *path, bool sent, bool again)
{
    static unsigned char data[2 * (HEAD + PAYLOAD_MAX)];
    size_t size = 0;

    server = connection;
    told_alone = false;
    catch_signals(server);
    for (;;) {
        size_t used;
        ssize_t n;

        stream_input();
        n = receive(data + size, sizeof data - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 && again && is_unread(sent, n))
            break;
        if (n <= 0 && goes_on && !interrupted) {
            hide_status();
            begin_again();
        }
        if (n <= 0)
            fail(FAILED, "the build server (redod) ended without an answer; try again; its log: %s", log_path(path));
        again = false;
        size += (size_t)n;
        used = obey_all(data, size);
        if (told_alone)
            break;
        size -= used;
        memmove(data, data + used, size);
    }
    let_signals_kill();
    close(server);
    return told_alone;
}
