/*
 * Descriptors 0-2, and what the user learns through them: which were open, text written there without changing how they
 * are set, and the client's ends, by a message or by a signal. What is written and why is not known here.
 */

#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

const char *command = "redo";
struct standard standard;

void fail(int status, const char *format, ...)
{
    char text[2 * PATH_MAX];
    va_list values;

    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    hide_status();
    if (standard.open & 1u << 2)
        dprintf(2, "%s: %s\n", command, text);
    _exit(status);
}

void die_by(int number)
{
    sigset_t only;

    hide_status();
    /* A core of the client tells nobody anything. RLIMIT_CORE alone does not stop a core pipe. */
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(number, SIG_DFL);
    sigemptyset(&only);
    sigaddset(&only, number);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    kill(getpid(), number);
    _exit(128 + number); /* a signal whose default is not to kill */
}

/* Finds out which are open and which are terminals, with one call each. The size is that of the last terminal. */
void examine_standard_descriptors(void)
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
void occupy_standard_descriptors(void)
{
    int fd;

    if (standard.open == 7)
        return;
    while ((fd = open("/dev/null", O_RDWR)) <= 2)
        if (fd < 0)
            fail(FAILED, "cannot open /dev/null: %s", strerror(errno));
    close(fd);
}

static volatile sig_atomic_t status_shown; /* the cursor stands at the beginning of the status line */

/* To the end of the screen: a terminal that was made narrower may have broken the line. Called from handlers, too. */
void hide_status(void)
{
    static const char erase[] = "\r\033[J";

    if (!status_shown)
        return;
    status_shown = 0;
    if (write(2, erase, sizeof erase - 1) < 0)
        standard.open &= ~(1u << 2);
}

/*
 * Shows a line below the output, in place of the last one. The cursor goes back to its beginning, so that what others
 * write comes in its place. In the background the terminal is somebody else's.
 */
void show_status(const unsigned char *line, size_t size)
{
    pid_t owner = tcgetpgrp(2);

    if (size == 0 || (owner >= 0 && owner != getpgrp())) {
        hide_status();
        return;
    }
    status_shown = 0;
    write_output(2, (const unsigned char *)"\r", 1);
    write_output(2, line, size);
    write_output(2, (const unsigned char *)"\033[J\r", 4);
    status_shown = 1;
}

/* A closed reader of standard output ends us as it ends any filter. One of standard error only loses the text. */
void write_output(int fd, const unsigned char *data, size_t size)
{
    hide_status();
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
