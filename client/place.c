/*
 * Where things are: the directory of this install, the socket of its server and the log beside it, by the rules of
 * docs/protocol.md, "Finding and starting the server". Whether anybody listens there is not known here.
 */

#include "client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void make_path(char path[PATH_MAX], const char *format, ...)
{
    va_list values;

    va_start(values, format);
    if (vsnprintf(path, PATH_MAX, format, values) >= PATH_MAX)
        fail(FAILED, "the path %s is too long; set REDOD_SOCKET to a shorter one", path);
    va_end(values);
}

/* The directory of this executable, symbolic links resolved. */
const char *bindir(void)
{
    static char path[PATH_MAX];
    ssize_t n;

    if (*path)
        return path;
    n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        fail(FAILED, "cannot read /proc/self/exe: %s; is /proc mounted?", strerror(errno));
    path[n] = 0;
    *strrchr(path, '/') = 0;
    return path;
}

/* The 64-bit FNV-1a hash. */
static uint64_t fnv1a(const char *data, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;

    while (size--)
        hash = (hash ^ (unsigned char)*data++) * 0x100000001b3u;
    return hash;
}

/* Names this install: another version, or the same one installed again, must have its own server. */
static uint64_t install_id(void)
{
    char key[PATH_MAX + 128], redo[PATH_MAX];
    struct stat st = {0};
    int size;

    make_path(redo, "%s/redo", bindir());
    if (stat(redo, &st) != 0)
        st.st_mtim = (struct timespec){0, 0};
    size = snprintf(key, sizeof key, "%s%c%s%c%lld", bindir(), 0, REDOD_VERSION, 0,
                    (long long)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
    return fnv1a(key, (size_t)size);
}

static bool is_mine(const char *directory, mode_t forbidden)
{
    struct stat st;

    return stat(directory, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & forbidden);
}

/* An environment variable that holds an absolute path, else NULL (the rule of the XDG base directories). */
static const char *path_variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value == '/' ? value : NULL;
}

/* The directory of the default socket. */
static const char *runtime_directory(void)
{
    static char path[PATH_MAX];
    const char *given = path_variable("XDG_RUNTIME_DIR"), *temporary = path_variable("TMPDIR");
    char usual[64];

    snprintf(usual, sizeof usual, "/run/user/%u", geteuid());
    if (given && is_mine(given, 0))
        make_path(path, "%s/redod", given);
    else if (is_mine(usual, 077))
        make_path(path, "%s/redod", usual);
    else
        make_path(path, "%s/redod-%u", temporary ? temporary : "/tmp", geteuid());
    return path;
}

/* Who could write there could hand us a server of his own. Returns whether the directory exists. */
bool check_private(const char *directory)
{
    struct stat st;

    if (lstat(directory, &st) != 0) {
        if (errno == ENOENT)
            return false;
        fail(FAILED, "cannot look at %s: %s", directory, strerror(errno));
    }
    if (!S_ISDIR(st.st_mode))
        fail(FAILED, "%s is not a directory; remove it, or set REDOD_SOCKET", directory);
    if (st.st_uid != geteuid())
        fail(FAILED, "%s belongs to user %u, not to you; remove it, or set REDOD_SOCKET", directory, st.st_uid);
    if (st.st_mode & 077)
        fail(FAILED, "%s is open to others; chmod 700 it, or set REDOD_SOCKET", directory);
    return true;
}

/* The socket's path; *directory becomes the private directory to make for it, NULL for a path that the user gave. */
const char *socket_path(const char **directory)
{
    static char path[PATH_MAX];
    const char *given = getenv("REDOD_SOCKET");

    *directory = NULL;
    if (given && *given) {
        if (*given != '/')
            fail(USAGE, "REDOD_SOCKET is %s; it must be an absolute path", given);
        return given;
    }
    *directory = runtime_directory();
    make_path(path, "%s/%016llx.sock", *directory, (unsigned long long)install_id());
    return path;
}

/* The socket of an instance that serves this one invocation. */
const char *private_path(const char **directory)
{
    static char path[PATH_MAX];

    *directory = runtime_directory();
    make_path(path, "%s/alone-%d.sock", *directory, getpid());
    return path;
}

/* `.sock` at the end of the socket's path replaced by `.log`. */
const char *log_path(const char *path)
{
    static char log[PATH_MAX];
    size_t size = strlen(path);

    if (size > 5 && memcmp(path + size - 5, ".sock", 5) == 0)
        size -= 5;
    make_path(log, "%.*s.log", (int)size, path);
    return log;
}
