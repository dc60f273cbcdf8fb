// A crash at a chosen moment. Loaded by LD_PRELOAD, it counts the calls of fsync, rename and unlink for names
// below CRASH_ROOT, and kills the process at call CRASH_AT. remove() counts too: std::filesystem calls it, and
// glibc's own call of unlink inside of it cannot be replaced.
//
// With CRASH_DISK, that folder becomes what a power cut leaves of CRASH_ROOT, by the strictest reading of POSIX: the
// bytes of a file are there as of its last fsync, and names in a folder as of the folder's last fsync.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char* root(void) { return getenv("CRASH_ROOT"); }

static int below_root(const char* path) {
  return root() && strncmp(path, root(), strlen(root())) == 0;
}

static void count(const char* path) {
  static int calls;
  const char* at = getenv("CRASH_AT");
  if (!below_root(path)) return;
  calls++;
  if (at && calls == atoi(at)) kill(getpid(), SIGKILL);
}

static void copy(const char* from, const char* to) {
  static char bytes[1 << 16];
  const int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  for (ssize_t n; in >= 0 && out >= 0 && (n = read(in, bytes, sizeof bytes)) > 0;)
    if (write(out, bytes, (size_t)n) != n) abort();
  if (in >= 0) close(in);
  if (out >= 0) close(out);
}

// Where the disk has the bytes of a file, whatever its name.
static void place_of_bytes(char* place, const struct stat* status) {
  snprintf(place, PATH_MAX, "%s/inode-%lu", getenv("CRASH_DISK"), (unsigned long)status->st_ino);
}

// "<disk>/run" and the path below the root
static void place_of_name(char* place, const char* path) {
  snprintf(place, PATH_MAX, "%s/run%s", getenv("CRASH_DISK"), path + strlen(root()));
}

static void save_names(const char* folder) {
  char to[PATH_MAX], path[PATH_MAX], bytes[PATH_MAX];
  struct stat status;
  struct dirent* entry;
  place_of_name(to, folder);
  mkdir(to, 0777);
  DIR* there = opendir(to);  // names that are gone
  while (there && (entry = readdir(there))) {
    if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path || !lstat(path, &status))
      continue;
    place_of_name(bytes, path);
    remove(bytes);
  }
  if (there) closedir(there);
  DIR* here = opendir(folder);
  while (here && (entry = readdir(here))) {
    if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path || lstat(path, &status))
      continue;
    place_of_name(to, path);
    place_of_bytes(bytes, &status);
    if (S_ISDIR(status.st_mode) && entry->d_name[0] != '.') mkdir(to, 0777);
    if (S_ISREG(status.st_mode)) copy(bytes, to);  // empty if they were never flushed
  }
  if (here) closedir(here);
}

int fsync(int descriptor) {
  static int (*next)(int);
  char link[64], path[PATH_MAX], bytes[PATH_MAX];
  struct stat status;
  if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t n = readlink(link, path, sizeof path - 1);
  path[n > 0 ? n : 0] = 0;
  count(path);
  const int result = next(descriptor);
  if (!result && getenv("CRASH_DISK") && below_root(path) && !fstat(descriptor, &status)) {
    place_of_bytes(bytes, &status);
    if (S_ISDIR(status.st_mode)) save_names(path);
    else {
      char name[PATH_MAX];
      struct stat there;
      copy(path, bytes);
      place_of_name(name, path);
      if (!stat(name, &there)) copy(bytes, name);  // its name is on the disk already
    }
  }
  return result;
}

int rename(const char* from, const char* to) {
  static int (*next)(const char*, const char*);
  if (!next) next = (int (*)(const char*, const char*))dlsym(RTLD_NEXT, "rename");
  char path[PATH_MAX];
  count(realpath(from, path) ? path : from);
  return next(from, to);
}

int unlink(const char* name) {
  static int (*next)(const char*);
  if (!next) next = (int (*)(const char*))dlsym(RTLD_NEXT, "unlink");
  char path[PATH_MAX];
  count(realpath(name, path) ? path : name);
  return next(name);
}

int remove(const char* name) {
  static int (*next)(const char*);
  if (!next) next = (int (*)(const char*))dlsym(RTLD_NEXT, "remove");
  char path[PATH_MAX];
  count(realpath(name, path) ? path : name);
  return next(name);
}
