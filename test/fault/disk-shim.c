/*
 * A disk for tests that is slow, or full, when told: preloaded into a daemon (LD_PRELOAD), it stands before what LevelDB and libuv
 * call to write the files below $BKV_DISK. The file $BKV_DISK.fault says what to do, and may change at any time:
 *
 *   (missing or empty)   nothing
 *   slow <ms>            each flush to disk takes so much longer
 *   full                 each write fails with ENOSPC; what was buffered is lost, as glibc loses it
 *   broken               each flush to disk fails with EIO
 *
 *   cc -shared -fPIC -o disk-shim.so disk-shim.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum fault { NONE, SLOW, FULL, BROKEN };

static enum fault told(long *ms) {
  char path[4096], text[64] = "";
  const char *disk = getenv("BKV_DISK");
  if (!disk || snprintf(path, sizeof path, "%s.fault", disk) >= (int)sizeof path) return NONE;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return NONE;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) return NONE;
  if (sscanf(text, "slow %ld", ms) == 1) return SLOW;
  if (!strncmp(text, "full", 4)) return FULL;
  return strncmp(text, "broken", 6) ? NONE : BROKEN;
}

/* What is wrong with the disk that this file is on. */
static enum fault fault_of(int file, long *ms) {
  char link[64], path[4096];
  const char *disk = getenv("BKV_DISK");
  if (!disk) return NONE;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return NONE;
  path[length] = 0;
  size_t prefix = strlen(disk);
  return !strncmp(path, disk, prefix) && path[prefix] == '/' ? told(ms) : NONE;
}

static int refuse(int error) {
  errno = error;
  return -1;
}

#define ORIGINAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int flush_to_disk(int file, int (*original)(int)) {
  long ms = 0;
  enum fault fault = fault_of(file, &ms);
  if (fault == BROKEN) return refuse(EIO);
  if (fault == SLOW) nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
  return original(file);
}

int fdatasync(int file) { return flush_to_disk(file, ORIGINAL(fdatasync)); }
int fsync(int file) { return flush_to_disk(file, ORIGINAL(fsync)); }

static int is_full(int file) {
  long ms;
  return fault_of(file, &ms) == FULL;
}

size_t fwrite_unlocked(const void *data, size_t size, size_t count, FILE *stream) {
  if (!is_full(fileno(stream))) return ORIGINAL(fwrite_unlocked)(data, size, count, stream);
  __fpurge(stream);
  errno = ENOSPC;
  return 0;
}

int fflush_unlocked(FILE *stream) {
  if (!stream || !is_full(fileno(stream))) return ORIGINAL(fflush_unlocked)(stream);
  __fpurge(stream);
  errno = ENOSPC;
  return EOF;
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t offset) {
  return is_full(file) ? refuse(ENOSPC) : ORIGINAL(pwrite64)(file, data, length, offset);
}

ssize_t pwrite(int file, const void *data, size_t length, off_t offset) {
  return is_full(file) ? refuse(ENOSPC) : ORIGINAL(pwrite)(file, data, length, offset);
}
