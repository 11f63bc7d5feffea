/* Makes the nth system call of a program fail that has to do with writing a file: loaded before the C library.

   arm(n, error) counts from there on; the nth counted call fails with `error`, or, where that is 0, a write is cut to
   one byte. arm(0, 0) lets all through. calls() says how many were counted, recorded(i) the name of the ith. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/types.h>
#include <unistd.h>

static int countdown, chosen, counted, active;
static const char *names[4096];

void arm(int n, int error) { countdown = n; chosen = error; counted = 0; active = n > 0; }
int calls(void) { return counted; }
const char *recorded(int i) { return names[i]; }

static int due(const char *name)
{
    if (!active) return 0;
    if (counted < 4096) names[counted] = name;
    return ++counted == countdown;
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define FAILS(name) if (due(#name) && chosen) { errno = chosen; return -1; }

ssize_t write(int file, const void *bytes, size_t n)
{
    REAL(write);
    if (file > 2 && due("write")) {
        if (chosen) { errno = chosen; return -1; }
        if (n > 1) n = 1;
    }
    return real(file, bytes, n);
}

int fsync(int file) { REAL(fsync); FAILS(fsync) return real(file); }
int flock(int file, int how) { REAL(flock); FAILS(flock) return real(file, how); }
int fchmod(int file, mode_t mode) { REAL(fchmod); FAILS(fchmod) return real(file, mode); }
int chmod(const char *path, mode_t mode) { REAL(chmod); FAILS(chmod) return real(path, mode); }
int rename(const char *from, const char *to) { REAL(rename); FAILS(rename) return real(from, to); }
int unlink(const char *path) { REAL(unlink); FAILS(unlink) return real(path); }
int close(int file) { REAL(close); if (file > 2) { if (due("close") && chosen) { real(file); errno = chosen; return -1; } } return real(file); }
off_t lseek64(int file, off_t where, int whence) { REAL(lseek64); FAILS(lseek) return real(file, where, whence); }

static int opened(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode)
{
    FAILS(open)
    return real(path, flags, mode);
}

#define OPEN(name)                                                       \
    int name(const char *path, int flags, ...)                           \
    {                                                                    \
        static int (*real)(const char *, int, ...);                      \
        if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name); \
        mode_t mode = 0;                                                 \
        if (flags & O_CREAT) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); } \
        return opened(real, path, flags, mode);                          \
    }
OPEN(open)
OPEN(open64)
