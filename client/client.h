/*
 * What the files of the client share, and the bytes of a frame (docs/protocol.md), which go both ways. Compile them all
 * with REDOD_VERSION defined.
 */

#ifndef CLIENT_H
#define CLIENT_H

#define _GNU_SOURCE
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/types.h>

#ifndef REDOD_VERSION
#error "REDOD_VERSION is not defined: compile with -DREDOD_VERSION='\"1.2.3\"'"
#endif

enum { FAILED = 1, USAGE = 2 }; /* exit statuses */
enum { JOB_SIZE = 12, JOB_FILES = 3 }; /* START_JOB: bytes of the payload, descriptors beside it */

/* ---- standard.c ------------------------------------------------------------------------------------------------- */

extern const char *command; /* the name we were called by */

extern struct standard {
    unsigned open;      /* bit n: descriptor n (0-2) was open when we started */
    unsigned terminals; /* bit n: it is a terminal */
    struct winsize size;
} standard;

__attribute__((noreturn, format(printf, 2, 3))) void fail(int status, const char *format, ...);
__attribute__((noreturn)) void die_by(int number);
void examine_standard_descriptors(void);
void occupy_standard_descriptors(void);
void write_output(int fd, const unsigned char *data, size_t size);
void show_status(const unsigned char *line, size_t size);
void hide_status(void);

/* ---- place.c ---------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) void make_path(char path[PATH_MAX], const char *format, ...);
const char *bindir(void);
bool check_private(const char *directory);
const char *socket_path(const char **directory);
const char *private_path(const char **directory);
const char *log_path(const char *path);

/* ---- connect.c -------------------------------------------------------------------------------------------------- */

int connect_server(const char *path);
int listen_at(const char *path);

/* ---- start.c: `directory` as socket_path gives it --------------------------------------------------------------- */

int start_server(const char *path, const char *directory);
int start_private_server(const char *path, const char *directory);
__attribute__((noreturn)) void run_server(char **arguments, const char *path, const char *directory);
__attribute__((noreturn)) void exec_server(char **arguments);
void close_from(int first);
void leave_cgroup(void);

/* ---- detach.c: redo-detach, all of it --------------------------------------------------------------------------- */

__attribute__((noreturn)) void detach(char **arguments);

/* ---- launch.c: what starts scripts for the server --------------------------------------------------------------- */

__attribute__((noreturn)) void launch(void);

/* ---- redo.c ------------------------------------------------------------------------------------------------------ */

extern int quick_connection; /* where quick.c has sent the invocation already, else -1 */
__attribute__((noreturn)) void begin_again(void);

/* ---- job.c, invoke.c, relay.c ------------------------------------------------------------------------------------ */

const char *working_directory(void);
bool send_invocation(int server, char **arguments, const char *cwd);
enum { LOWEST_PIPE = 50 }; /* the completion pipe never clashes with a script's own descriptors */
char **cut(char **text, const char *end, size_t count);
pid_t start_job(const unsigned char order[JOB_SIZE], const int beside[JOB_FILES], const sigset_t *mask);
bool relay(int connection, const char *path, bool sent, bool again);

/* ---- send.c ------------------------------------------------------------------------------------------------------ */

extern bool sent_more;   /* than the invocation */
extern bool interrupted; /* a signal that ends us was sent */
void catch_signals(int connection);
void let_signals_kill(void);
void catch_stop(void);
bool ask_input(void);
void stream_input(void);
void start_for_server(const unsigned char order[JOB_SIZE], const int *beside, int count);
void send_settled(void);

/* ---- Frames ----------------------------------------------------------------------------------------------------- */

enum { MAJOR = 1, MINOR = 1 };
enum { HEAD = 5 }; /* bytes before the payload, and before the value of a field */

enum frame_type {
    INVOKE = 1, SIGNAL = 2, STDIN = 3, WINSIZE = 4,
    JOB_STARTED = 5, JOB_ENDED = 6, SETTLED = 7,
    OUTPUT = 16, READ_STDIN = 17, EXIT = 18, REFUSED = 19, STATUS = 20, ALONE = 21, START_JOB = 22, SETTLE = 23,
    GO_ON = 24,
};

/* The fields of INVOKE. */
enum tag {
    PROTOCOL = 1, VERSION, NAME, ARGS, CWD, ENVIRON, UMASK, RLIMITS, DESCRIPTORS, TERMINAL, JOBSERVER,
    TAGS = JOBSERVER,
};
enum { LIMITS = 16 };
enum { CHUNK = 65536 }; /* bytes of standard input or output in a frame */
enum { DESCRIPTORS_MAX = 5 }; /* 0-2 and those of a jobserver */

static inline void put(unsigned char *place, unsigned bytes, uint64_t value)
{
    while (bytes--) {
        place[bytes] = (unsigned char)value;
        value >>= 8;
    }
}

static inline uint32_t get(const unsigned char *place)
{
    return (uint32_t)place[0] << 24 | (uint32_t)place[1] << 16 | (uint32_t)place[2] << 8 | place[3];
}

static inline void put_head(unsigned char head[HEAD], enum frame_type type, size_t size)
{
    put(head, 4, size);
    head[4] = (unsigned char)type;
}

#endif
