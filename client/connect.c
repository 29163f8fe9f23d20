/*
 * The socket by its path, of any length: connecting to a server, or listening as one. Where that path comes from, and
 * who starts a server, is not known here.
 */

#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

typedef int address_call(int, const struct sockaddr_un *);

static int connect_to(int fd, const struct sockaddr_un *address)
{
    return connect(fd, (const struct sockaddr *)address, sizeof *address);
}

static int bind_to(int fd, const struct sockaddr_un *address)
{
    return bind(fd, (const struct sockaddr *)address, sizeof *address);
}

/* Calls connect or bind with the path, a long one by a descriptor of its directory (unix(7): at most 108 bytes). */
static int call_with_address(address_call *call, int fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *name = strrchr(path, '/') + 1;
    char directory[PATH_MAX];
    int held, result, error;

    if (strlen(path) < sizeof address.sun_path) {
        strcpy(address.sun_path, path);
        return call(fd, &address);
    }
    make_path(directory, "%.*s", (int)(name - path), path);
    held = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (held < 0)
        return -1;
    result = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", held, name);
    if (result >= (int)sizeof address.sun_path)
        fail(FAILED, "the socket's name %s is too long; set REDOD_SOCKET to a shorter one", name);
    result = call(fd, &address);
    error = errno;
    close(held);
    errno = error;
    return result;
}

static int new_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        fail(FAILED, "cannot make a socket: %s", strerror(errno));
    return fd;
}

/* Returns -1 where nobody listens. */
int connect_server(const char *path)
{
    int fd = new_socket();

    if (call_with_address(connect_to, fd, path) == 0)
        return fd;
    if (errno != ENOENT && errno != ECONNREFUSED)
        fail(FAILED, "cannot connect to %s: %s; is it another user's?", path, strerror(errno));
    close(fd);
    return -1;
}

/* Only with the lock held, and after an attempt to connect: then a socket at that path is a dead server's. */
int listen_at(const char *path)
{
    struct stat st;
    int fd = new_socket();

    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
    if (call_with_address(bind_to, fd, path) != 0 || listen(fd, BACKLOG) != 0)
        fail(FAILED, "cannot listen at %s: %s; remove what is there, or set REDOD_SOCKET", path, strerror(errno));
    return fd;
}
