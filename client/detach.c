/*
 * redo-detach: starts a command that outlives the script which calls this and does not hold its target. It owns what
 * such a process inherits: a session of its own, standard input and output, and nothing else that was open. Where
 * systemd has a manager for the user, it also gets a scope of its own there, so that it does not end with the service,
 * or the terminal, that the server belongs to. No server is needed.
 */

#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOT_EXECUTABLE = 126, NOT_FOUND = 127 }; /* exit statuses, as sh has them */
enum { TOLD = 3 };                              /* the child's descriptor through which we learn what became of it */
enum { MANAGER_PATIENCE = 5000 };               /* milliseconds for systemd to make the scope */

static const char usage[] =
    "usage: redo-detach [--log FILE] [--pidfile FILE] COMMAND [ARGUMENT]...\n"
    "Start COMMAND so that it outlives the script that calls this and does not hold its target: in a session of its\n"
    "own, its input and output /dev/null, and nothing else open. Returns once it runs, and fails if it cannot run.\n"
    "\n"
    "  --log FILE      append its output to FILE\n"
    "  --pidfile FILE  write its pid, which is also the number of its process group, to FILE\n";

static const char in_scope[] = "--in-scope"; /* how systemd-run calls us: TOLD is open, and the rest is done */

static struct {
    const char *log, *pidfile;
    char **command;
} plan;

/* The value of `option`, as one word with it or as the next; NULL for another option. */
static const char *value_of(const char *option, char ***arguments)
{
    size_t length = strlen(option);
    const char *word = **arguments;

    if (strncmp(word, option, length) != 0 || (word[length] && word[length] != '='))
        return NULL;
    if (word[length])
        return word + length + 1;
    if (!*++*arguments)
        fail(USAGE, "%s needs a file; see redo-detach --help", option);
    return **arguments;
}

static void read_options(char **arguments)
{
    const char *value;

    for (; *arguments && **arguments == '-'; arguments++) {
        if (strcmp(*arguments, "--") == 0) {
            arguments++;
            break;
        }
        if (strcmp(*arguments, "--help") == 0 || strcmp(*arguments, "-h") == 0) {
            write_output(1, (const unsigned char *)usage, strlen(usage));
            _exit(0);
        }
        if ((value = value_of("--log", &arguments)))
            plan.log = value;
        else if ((value = value_of("--pidfile", &arguments)))
            plan.pidfile = value;
        else
            fail(USAGE, "there is no option %s; see redo-detach --help", *arguments);
    }
    if (!*arguments)
        fail(USAGE, "needs a command; see redo-detach --help");
    plan.command = arguments;
}

static int open_file(const char *path, int flags)
{
    int fd = open(path, flags | O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

    if (fd < 0)
        fail(FAILED, "cannot open %s: %s", path, strerror(errno));
    return fd;
}

/* It is no part of the job any more, nor of a make that the job may belong to. */
static void clean_environment(void)
{
    static const char *const names[] = {"REDO_", "MAKEFLAGS=", "MFLAGS=", "MAKELEVEL="};
    char **kept = environ;

    for (char **variable = environ; *variable; variable++) {
        bool stays = true;

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            stays = stays && strncmp(*variable, names[i], strlen(names[i])) != 0;
        if (stays)
            *kept++ = *variable;
    }
    *kept = NULL;
}

/* Says that it came so far, and then, if it is still there to do so, why the command cannot be executed. */
__attribute__((noreturn)) static void execute(char **words)
{
    int error = 0;

    fcntl(TOLD, F_SETFD, FD_CLOEXEC);
    if (write(TOLD, &error, sizeof error) == sizeof error) {
        execvp(words[0], words);
        error = errno;
        if (write(TOLD, &error, sizeof error) < 0)
            _exit(FAILED);
    }
    _exit(NOT_FOUND);
}

/* systemd-run makes a scope around itself, and then executes us again there: the pid stays. */
__attribute__((noreturn)) static void execute_in_scope(void)
{
    static const char *const start[] = {"systemd-run", "--user", "--scope", "--quiet", "--collect", "--"};
    size_t count = 0, used = sizeof start / sizeof *start;
    char self[PATH_MAX];
    const char **words;

    while (plan.command[count])
        count++;
    words = calloc(used + count + 3, sizeof *words);
    if (!words)
        _exit(FAILED);
    memcpy(words, start, sizeof start);
    make_path(self, "%s/redo-detach", bindir());
    words[used++] = self;
    words[used++] = in_scope;
    memcpy(words + used, plan.command, count * sizeof *words);
    execvp(words[0], (char **)(uintptr_t)words);
    _exit(NOT_FOUND);
}

__attribute__((noreturn)) static void become_detached(int told, int input, int output, bool scope)
{
    setsid();
    dup2(input, 0);
    dup2(output, 1);
    dup2(output, 2);
    if (told != TOLD)
        dup2(told, TOLD);
    fcntl(TOLD, F_SETFD, 0);
    close_from(TOLD + 1);
    signal(SIGPIPE, SIG_DFL);
    leave_cgroup();
    clean_environment();
    if (scope)
        execute_in_scope();
    execute(plan.command);
}

/* Waits for the word of the child; false when it ended, or took too long, before it said anything. */
static bool hear(int told, int patience, int *error)
{
    struct pollfd ready = {.fd = told, .events = POLLIN};
    int n;

    while ((n = poll(&ready, 1, patience)) < 0 && errno == EINTR)
        ;
    return n == 1 && read(told, error, sizeof *error) == sizeof *error;
}

/* Starts the command; 0 when it did not come to that, which with `scope` only means that it has to be tried without. */
static pid_t start(int output, bool scope)
{
    int told[2], error = 0, input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid_t child;

    if (input < 0 || pipe2(told, O_CLOEXEC) != 0 || (child = fork()) < 0)
        fail(FAILED, "cannot start %s: %s", plan.command[0], strerror(errno));
    if (child == 0)
        become_detached(told[1], input, output, scope);
    close(told[1]);
    close(input);
    if (!hear(told[0], scope ? MANAGER_PATIENCE : -1, &error)) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        child = 0;
    } else if (hear(told[0], -1, &error)) {
        waitpid(child, NULL, 0);
        fail(error == ENOENT ? NOT_FOUND : NOT_EXECUTABLE, "cannot run %s: %s", plan.command[0], strerror(error));
    }
    close(told[0]);
    return child;
}

static bool has_user_manager(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char path[PATH_MAX];

    if (!runtime || *runtime != '/')
        return false;
    make_path(path, "%s/systemd/private", runtime);
    return access(path, F_OK) == 0;
}

static void write_pid(pid_t child)
{
    char text[24];
    int length = snprintf(text, sizeof text, "%d\n", child);
    int fd = open(plan.pidfile, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    if (fd >= 0 && write(fd, text, (size_t)length) == length)
        return;
    kill(child, SIGTERM);
    fail(FAILED, "cannot write %s: %s; %s was ended", plan.pidfile, strerror(errno), plan.command[0]);
}

void detach(char **arguments)
{
    pid_t child = 0;
    int output;

    if (*arguments && strcmp(*arguments, in_scope) == 0)
        execute(arguments + 1);
    read_options(arguments);
    output = open_file(plan.log ? plan.log : "/dev/null", O_APPEND);
    if (has_user_manager())
        child = start(output, true);
    if (!child)
        child = start(output, false);
    if (!child)
        fail(FAILED, "cannot start %s: its process ended at once", plan.command[0]);
    if (plan.pidfile)
        write_pid(child);
    _exit(0);
}
