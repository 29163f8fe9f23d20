/*
 * A job that has the terminal: the server says what to run (START_JOB, docs/protocol.md), and it becomes a child of ours, in
 * our process group, so that the terminal treats it like us. Why it is run, and what its end means, is not known here.
 */

#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct job {
    mode_t mask;
    char *cwd, **argv, **environment;
};

/* Cuts `count` strings off the text; returns a list with a NULL at its end, or NULL where there are not so many. */
char **cut(char **text, const char *end, size_t count)
{
    char **strings = count < (size_t)(end - *text) + 1 ? calloc(count + 1, sizeof *strings) : NULL;

    for (size_t i = 0; strings && i < count; i++) {
        char *stop = memchr(*text, 0, (size_t)(end - *text));

        if (!stop)
            return NULL;
        strings[i] = *text;
        *text = stop + 1;
    }
    return strings;
}

static bool read_order(struct job *job, const unsigned char *order, int file)
{
    struct stat st;
    char *text, *end, **cwd;

    if (fstat(file, &st) != 0)
        return false;
    text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (text == MAP_FAILED)
        return false;
    end = text + st.st_size;
    job->mask = get(order);
    cwd = cut(&text, end, 1);
    job->argv = cut(&text, end, get(order + 4));
    job->environment = cut(&text, end, get(order + 8));
    if (!cwd || !job->argv || !job->environment || !job->argv[0]) {
        errno = EINVAL;
        return false;
    }
    job->cwd = cwd[0];
    return true;
}

/* In the child. Signals that we catch get their defaults back by execve(2); SIGPIPE we ignore. */
static void become_job(const struct job *job, int output, int completion)
{
    if (dup2(output, 1) < 0 || fcntl(completion, F_DUPFD, LOWEST_PIPE) < 0 || chdir(job->cwd) != 0)
        return;
    umask(job->mask);
    signal(SIGPIPE, SIG_DFL);
    environ = job->environment; /* execvp searches its PATH */
    execvp(job->argv[0], job->argv);
}

/* Returns the pid, or 0 with errno where it could not be started. `mask`: its signals. The files stay the caller's. */
pid_t start_job(const unsigned char order[JOB_SIZE], const int beside[JOB_FILES], const sigset_t *mask)
{
    struct job job;
    int told[2], error = 0;
    pid_t child;

    if (!read_order(&job, order, beside[2]) || pipe2(told, O_CLOEXEC) != 0)
        return 0;
    child = fork();
    if (child == 0) {
        sigprocmask(SIG_SETMASK, mask, NULL);
        become_job(&job, beside[1], beside[0]);
        error = errno;
        if (write(told[1], &error, sizeof error) < 0)
            _exit(126);
        _exit(127);
    }
    if (child < 0)
        error = errno;
    close(told[1]);
    if (child > 0 && read(told[0], &error, sizeof error) == sizeof error) {
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
        child = -1;
    }
    close(told[0]);
    errno = error;
    return child > 0 ? child : 0;
}
