/*
 * The thin client of redod: one program under every command name.
 *
 * It hands its invocation to the server over a Unix socket, relays what comes back and ends as the server says; where
 * no server runs it starts one. The contract is docs/protocol.md, and redo.py beside this file is the same client in
 * Python. What the commands mean is not known here. This file has the way through the others, and what needs no server:
 *
 *     standard.c   descriptors 0-2, messages, dying
 *     place.c      where the install, the socket and the log are
 *     connect.c    connecting, listening
 *     start.c      the server, started
 *     invoke.c     what is sent first
 *     quick.c      the same for scripts, before the C library is ready
 *     relay.c      everything after: output, jobs, the end
 *     send.c       meanwhile the other way: standard input, signals, the ends of jobs
 *     job.c        a job that has the terminal
 *     detach.c     redo-detach, which needs no server
 *     launch.c     what starts scripts for the server
 *
 * A build makes one call per target or more, so the usual way through is a dozen cheap system calls.
 */

#include "client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int quick_connection = -1;

enum { PAUSE = 500 }; /* milliseconds: a server that always fails is not started in a tight loop */

static const char redod_usage[] =
    "usage: redod COMMAND\n"
    "  run              serve in the foreground, log to standard error\n"
    "  status [--json]  what the server is doing\n"
    "  stop             end the server and its services; --keep-services: only the server\n"
    "  doctor           what keeps the server from knowing of changes, and what to do\n"
    "  verify           look at every file that counts as unchanged; status 1: one has changed\n"
    "  subscribe        print what happens in all sessions, a line of JSON for each event\n"
    "  services         the running processes that targets are\n"
    "  service          stop|restart TARGET\n"
    "  forget           start over in this workspace: everything is out of date\n"
    "  gc               drop the logs of this workspace's targets that are gone\n"
    "  socket           print the path of the server's socket\n"
    "  units            systemd user units for this install\n"
    "The redo commands start a server by themselves. redod --version prints the version.\n";

__attribute__((noreturn)) static void print(int fd, const char *text, int status)
{
    write_output(fd, (const unsigned char *)text, strlen(text));
    _exit(status);
}

__attribute__((noreturn)) static void print_socket(const char *path)
{
    char line[PATH_MAX + 2];

    snprintf(line, sizeof line, "%s\n", path);
    print(1, line, 0);
}

/* What redod does without a server; returns for the subcommands that ask a running one. */
static void without_server(char **arguments)
{
    const char *word = arguments[0], *directory, *path;

    if (!word)
        print(2, redod_usage, USAGE);
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        print(1, redod_usage, 0);
    if (strcmp(word, "units") == 0)
        exec_server(arguments);
    if (strcmp(word, "launch") == 0)
        launch();
    path = socket_path(&directory);
    if (strcmp(word, "run") == 0)
        run_server(arguments, path, directory);
    if (strcmp(word, "socket") == 0)
        print_socket(path);
}

static void print_version(void)
{
    char line[PATH_MAX];

    snprintf(line, sizeof line, "%s (redod) " REDOD_VERSION "\n", command);
    print(1, line, 0);
}

/*
 * Whether this invocation is to have an instance of its own. Not one of a script's: its target is being built by the
 * server that runs the script, and would wait for it for ever.
 */
static bool wants_private(char **arguments)
{
    const char *redod = getenv("REDOD"), *job = getenv("REDO_JOB");

    if (strcmp(command, "redod") == 0 || (job && *job && getenv("REDOD_SOCKET")))
        return false;
    if (redod && strcmp(redod, "off") == 0)
        return true;
    for (; strcmp(command, "redo") == 0 && *arguments && strcmp(*arguments, "--") != 0; arguments++)
        if (strcmp(*arguments, "--no-daemon") == 0)
            return true;
    return false;
}

/* redod asks a running server and starts none, but for what is no matter of the server's own. */
static int start_unless_redod(const char *path, const char *directory, char **arguments)
{
    if (strcmp(command, "redod") != 0 || strcmp(arguments[0], "forget") == 0 || strcmp(arguments[0], "gc") == 0)
        return start_server(path, directory);
    print(2, "redod is not running\n", strcmp(arguments[0], "stop") == 0 ? 0 : FAILED);
}

/* Returns when an instance for this invocation alone is asked for. */
static void ask_server(char **arguments, const char *cwd)
{
    const char *directory, *path = socket_path(&directory);
    int server = quick_connection;
    bool sent = server >= 0, again = true;

    do {
        if (server < 0 && (!directory || check_private(directory)))
            server = connect_server(path);
        again = again && server >= 0;
        if (server < 0)
            server = start_unless_redod(path, directory, arguments);
        if (!sent)
            sent = send_invocation(server, arguments, cwd);
        if (relay(server, path, sent, again))
            return;
        /* Killed while we came, it has not read it: as if nobody had listened. Once, or it might never end. */
        server = -1;
        sent = again = false;
    } while (true);
}

static void ask_private_server(char **arguments, const char *cwd)
{
    const char *path, *directory;
    int server;

    path = private_path(&directory);
    server = start_private_server(path, directory);
    relay(server, path, send_invocation(server, arguments, cwd), false);
    fail(FAILED, "an instance for this invocation alone asked for another; please report it");
}

static char **called;

/* As if we had just been called: for an invocation that goes on with the next server. */
void begin_again(void)
{
    poll(NULL, 0, PAUSE);
    execv("/proc/self/exe", called);
    fail(FAILED, "cannot begin again: %s", strerror(errno));
}

int main(int argc, char **argv)
{
    char **arguments = argv + (argc > 0);
    const char *cwd;

    if (argc > 0 && *argv[0])
        command = basename(argv[0]);
    called = argv;
    signal(SIGPIPE, SIG_IGN);
    examine_standard_descriptors();
    occupy_standard_descriptors();
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        print_version();
    if (strcmp(command, "redo-detach") == 0)
        detach(arguments);
    if (strcmp(command, "redod") == 0)
        without_server(arguments);
    cwd = working_directory();
    if (quick_connection >= 0 || !wants_private(arguments))
        ask_server(arguments, cwd);
    ask_private_server(arguments, cwd);
}
