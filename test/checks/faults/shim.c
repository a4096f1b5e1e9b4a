/* Lets chosen system calls on files below one directory fail. Preloaded into the process under test; what fails is said at any
 * time through a small file that both sides map.
 *
 *   FAULT_ROOT     directory whose files are meant
 *   FAULT_CONTROL  the mapped file, struct control
 *
 * A call that fails was not done: not a byte was written, nothing was synced. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, NAME = 4, READ = 8, CUT = 16 };

struct control {
  uint32_t kinds; /* which calls count: WRITE, SYNC, NAME, READ, CUT together */
  uint32_t error; /* errno of those that fail; 0: none fails */
  uint64_t from;  /* calls count from 1: those from..to fail */
  uint64_t to;
  uint64_t count; /* calls so far */
  uint64_t failed;
  char last[96]; /* name of the last call that failed, and its file */
};

static struct control *shared;
static char root[PATH_MAX];
static size_t root_length;

#define REAL(name) \
  static __typeof__(name) *real; \
  if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void attach(void) {
  const char *directory = getenv("FAULT_ROOT"), *control = getenv("FAULT_CONTROL");
  if (!directory || !control || !realpath(directory, root)) return;
  root_length = strlen(root);
  int file = open(control, O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  void *map = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (map != MAP_FAILED) shared = map;
}

static int below(const char *path) {
  return strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

/* Whether this call is to fail; sets errno. */
static int fails(uint32_t kind, const char *call, const char *path) {
  if (!shared || !(__atomic_load_n(&shared->kinds, __ATOMIC_ACQUIRE) & kind) || !below(path)) return 0;
  uint64_t number = __atomic_add_fetch(&shared->count, 1, __ATOMIC_ACQ_REL);
  if (shared->error == 0 || number < shared->from || number > shared->to) return 0;
  __atomic_add_fetch(&shared->failed, 1, __ATOMIC_ACQ_REL);
  snprintf(shared->last, sizeof shared->last, "%s %.80s", call, path + root_length);
  errno = (int)shared->error;
  return 1;
}

static int fd_fails(uint32_t kind, const char *call, int fd) {
  if (!shared || !(shared->kinds & kind)) return 0;
  int before = errno;
  char link[40], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  errno = before;
  if (length <= 0) return 0;
  path[length] = 0;
  return fails(kind, call, path);
}

static int path_fails(uint32_t kind, const char *call, const char *path) {
  if (!shared || !(shared->kinds & kind) || path[0] != '/') return 0;
  return fails(kind, call, path);
}

ssize_t write(int fd, const void *bytes, size_t length) {
  REAL(write);
  return fd_fails(WRITE, "write", fd) ? -1 : real(fd, bytes, length);
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
  REAL(pwrite);
  return fd_fails(WRITE, "pwrite", fd) ? -1 : real(fd, bytes, length, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
  REAL(pwrite64);
  return fd_fails(WRITE, "pwrite", fd) ? -1 : real(fd, bytes, length, at);
}
ssize_t writev(int fd, const struct iovec *vectors, int count) {
  REAL(writev);
  return fd_fails(WRITE, "writev", fd) ? -1 : real(fd, vectors, count);
}
ssize_t pwritev(int fd, const struct iovec *vectors, int count, off_t at) {
  REAL(pwritev);
  return fd_fails(WRITE, "pwritev", fd) ? -1 : real(fd, vectors, count, at);
}
ssize_t pwritev64(int fd, const struct iovec *vectors, int count, off64_t at) {
  REAL(pwritev64);
  return fd_fails(WRITE, "pwritev", fd) ? -1 : real(fd, vectors, count, at);
}
int ftruncate(int fd, off_t length) {
  REAL(ftruncate);
  return fd_fails(CUT, "ftruncate", fd) ? -1 : real(fd, length);
}
int ftruncate64(int fd, off64_t length) {
  REAL(ftruncate64);
  return fd_fails(CUT, "ftruncate", fd) ? -1 : real(fd, length);
}
int posix_fallocate(int fd, off_t at, off_t length) {
  REAL(posix_fallocate);
  return fd_fails(WRITE, "posix_fallocate", fd) ? errno : real(fd, at, length);
}
int fallocate(int fd, int mode, off_t at, off_t length) {
  REAL(fallocate);
  return fd_fails(WRITE, "fallocate", fd) ? -1 : real(fd, mode, at, length);
}
int fsync(int fd) {
  REAL(fsync);
  return fd_fails(SYNC, "fsync", fd) ? -1 : real(fd);
}
int fdatasync(int fd) {
  REAL(fdatasync);
  return fd_fails(SYNC, "fdatasync", fd) ? -1 : real(fd);
}
int rename(const char *from, const char *to) {
  REAL(rename);
  return path_fails(NAME, "rename", to) ? -1 : real(from, to);
}
int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  return path_fails(NAME, "mkdir", path) ? -1 : real(path, mode);
}
int unlink(const char *path) {
  REAL(unlink);
  return path_fails(NAME, "unlink", path) ? -1 : real(path);
}
/* opening to write makes a name; opening to read is a read */
static uint32_t kind_of(int flags) { return (flags & O_CREAT) ? NAME : READ; }
int open(const char *path, int flags, ...) {
  REAL(open);
  va_list more;
  va_start(more, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, mode_t) : 0;
  va_end(more);
  return path_fails(kind_of(flags), "open", path) ? -1 : real(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  REAL(open64);
  va_list more;
  va_start(more, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, mode_t) : 0;
  va_end(more);
  return path_fails(kind_of(flags), "open", path) ? -1 : real(path, flags, mode);
}
ssize_t read(int fd, void *bytes, size_t length) {
  REAL(read);
  return fd_fails(READ, "read", fd) ? -1 : real(fd, bytes, length);
}
ssize_t pread(int fd, void *bytes, size_t length, off_t at) {
  REAL(pread);
  return fd_fails(READ, "pread", fd) ? -1 : real(fd, bytes, length, at);
}
ssize_t pread64(int fd, void *bytes, size_t length, off64_t at) {
  REAL(pread64);
  return fd_fails(READ, "pread", fd) ? -1 : real(fd, bytes, length, at);
}
