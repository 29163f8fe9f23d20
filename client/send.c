/*
 * The way to the server between the invocation and its end: standard input when it asks, and at any moment, from the
 * handlers of signals, those signals, the terminal's new size, and the ends of the jobs that have the terminal
 * (docs/protocol.md).
 */

#include "client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

bool sent_more, interrupted;

static int server;

/* ---- Standard input, for those who ask -------------------------------------------------------------------------- */

static struct {
    bool asked, wanted;                /* the server asked; and the end was not sent yet */
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

/* Returns false when the server has asked before. */
bool ask_input(void)
{
    if (input.asked)
        return false;
    return input.asked = input.wanted = true;
}

/*
 * Both directions at once: a server that is busy writing to us may not be reading. Returns when there is something to
 * receive.
 */
void stream_input(void)
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

void catch_stop(void)
{
    static bool catching;
    struct sigaction action = {.sa_handler = on_stop, .sa_flags = SA_RESTART | SA_NODEFER}, old;

    if (!catching && sigaction(SIGTSTP, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        sigaction(SIGTSTP, &action, NULL);
    catching = true;
}

/* ---- Jobs that have the terminal -------------------------------------------------------------------------------- */

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

/* `beside`: the descriptors that came with the order. */
void start_for_server(const unsigned char order[JOB_SIZE], const int *beside, int count)
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
    if (count == JOB_FILES)
        pid = start_job(order, beside, &old);
    jobs += pid > 0;
    send_numbers(JOB_STARTED, (uint32_t)pid, pid > 0 ? 0 : (uint32_t)errno);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

/* ---- From catch_signals() to let_signals_kill() ------------------------------------------------------------------ */

/* Until the next invocation is sent to die is the right answer again. */
void let_signals_kill(void)
{
    for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
        if (caught[i])
            signal(forwarded[i], SIG_DFL);
}

/* Only now, with the invocation sent: until here to die is the right answer to a signal. */
void catch_signals(int connection)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_NODEFER}, old;

    server = connection;
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

/* All that came before is written by now. */
void send_settled(void)
{
    unsigned char frame[HEAD];

    put_head(frame, SETTLED, 0);
    send(server, frame, sizeof frame, MSG_NOSIGNAL);
}
