/*
 * The time between the invocation and its end: what the server sends is written out or obeyed, standard input and
 * signals go to it, all at the same time (docs/protocol.md). What was asked for is not known here.
 */

#include "client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHUNK = 65536, PAYLOAD_MAX = CHUNK + 1 };

static int server;     /* the connection; signal handlers need it, too */
static bool sent_more; /* than the invocation */

/* ---- Standard input, for those who ask -------------------------------------------------------------------------- */

static struct {
    bool asked, wanted;                /* READ_STDIN came; and the end was not sent yet */
    size_t size, sent;                 /* of the frame on its way; equal when there is none */
    unsigned char frame[HEAD + CHUNK];
} input;

/* A signal handler may send frames of its own, but never into the middle of one. */
static volatile sig_atomic_t mid_frame, signal_waiting, resize_waiting, children_waiting;

static void send_signal(int number);
static void send_size(void);
static void send_ends(void);

static void send_input(void)
{
    ssize_t n;

    mid_frame = 1;
    sent_more = true;
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
    if (children_waiting)
        send_ends();
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

/*
 * Both directions at once: a server that is busy writing to us may not be reading. Returns when there is something to
 * receive.
 */
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
    sent_more = true;
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
    sent_more = true;
    send(server, frame, sizeof frame, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static bool interrupted;

/*
 * Ctrl-C and Ctrl-\ are also sent to a job of ours, which may do with them what it wants. When it has failed they count
 * for us, too, as a shell does it.
 */
static volatile sig_atomic_t jobs, kept;

/* The frame is sent from the handler, so that it also goes out while we are stuck writing to a full pipe. */
static void take_signal(int number)
{
    for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
        if (caught[i])
            signal(forwarded[i], SIG_DFL); /* the next one kills at once */
    if (mid_frame)
        signal_waiting = number;
    else
        send_signal(number);
    interrupted = true;
    hide_status();
}

static void on_signal(int number)
{
    int error = errno;

    if (jobs > 0 && (number == SIGINT || number == SIGQUIT))
        kept = number;
    else
        take_signal(number);
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

/* ---- Jobs that have the terminal -------------------------------------------------------------------------------- */

static int beside[JOB_FILES], beside_count; /* descriptors that came, for the next START_JOB */

static void send_numbers(enum frame_type type, uint32_t first, uint32_t second)
{
    unsigned char frame[HEAD + 8];

    put_head(frame, type, 8);
    put(frame + HEAD, 4, first);
    put(frame + HEAD + 4, 4, second);
    send(server, frame, sizeof frame, MSG_NOSIGNAL);
}

static void send_ends(void)
{
    int status;
    pid_t child;

    children_waiting = 0;
    while ((child = waitpid(-1, &status, WNOHANG)) > 0) {
        jobs--;
        if (kept && status)
            take_signal(kept); /* before the end, or the server might see nothing but a failure */
        if (status || jobs == 0)
            kept = 0;
        send_numbers(JOB_ENDED, (uint32_t)child, (uint32_t)status);
    }
}

static void on_child(int number)
{
    int error = errno;

    (void)number;
    if (mid_frame)
        children_waiting = 1;
    else
        send_ends();
    errno = error;
}

static void obey_start(const unsigned char *order)
{
    struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
    sigset_t later, old;
    pid_t pid = 0;

    sigemptyset(&later);
    sigaddset(&later, SIGCHLD); /* that it has started is said before that it has ended */
    sigaddset(&later, SIGINT);  /* a Ctrl-C that the job gets is not taken for ours because we do not count it yet */
    sigaddset(&later, SIGQUIT);
    sigaction(SIGCHLD, &action, NULL);
    sigprocmask(SIG_BLOCK, &later, &old);
    hide_status();
    errno = EBADF;
    if (beside_count == JOB_FILES)
        pid = start_job(order, beside, &old);
    jobs += pid > 0;
    send_numbers(JOB_STARTED, (uint32_t)pid, pid > 0 ? 0 : (uint32_t)errno);
    while (beside_count > 0)
        close(beside[--beside_count]);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

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

/* Ctrl-Z: the status line is not left on the screen, and comes back when we are continued. */
static void on_stop(int number)
{
    int error = errno;

    hide_status();
    signal(number, SIG_DFL);
    raise(number);
    sigaction(number, &(struct sigaction){.sa_handler = on_stop, .sa_flags = SA_RESTART | SA_NODEFER}, NULL);
    on_resize(SIGWINCH);
    errno = error;
}

static void obey_status(const unsigned char *line, size_t size)
{
    static bool catching;
    struct sigaction action = {.sa_handler = on_stop, .sa_flags = SA_RESTART | SA_NODEFER}, old;

    if (!catching && sigaction(SIGTSTP, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        sigaction(SIGTSTP, &action, NULL);
    catching = true;
    if (!interrupted)
        show_status(line, size);
}

/* Until the next invocation is sent to die is the right answer again. */
static void let_signals_kill(void)
{
    for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
        if (caught[i])
            signal(forwarded[i], SIG_DFL);
}

/* Only now, with the invocation sent: until here to die is the right answer to a signal. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_NODEFER}, old;

    sigaddset(&action.sa_mask, SIGCHLD); /* of a job that the same Ctrl-C has ended: it is told first */
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

/* All that came before is written by now. */
static void send_settled(void)
{
    unsigned char frame[HEAD];

    put_head(frame, SETTLED, 0);
    send(server, frame, sizeof frame, MSG_NOSIGNAL);
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
    else if (type == READ_STDIN && size == 0 && !input.asked)
        input.asked = input.wanted = true;
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
    catch_signals();
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
