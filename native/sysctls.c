#define _GNU_SOURCE
#include "sysctls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "netns.h"

/* The daemon may be less privileged than the launcher: it gets network settings written, and nothing else. */
static bool allowed(const char *path) {
  if (strncmp(path, "net/", 4) != 0) return false;
  for (const char *part = path; part != NULL; part = strchr(part, '/')) {
    if (*part == '/') part++;
    size_t length = strcspn(part, "/");
    if (length == 0 || (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.')) return false;
  }
  return true;
}

static bool holds(const char *path, const char *value) {
  char is[64];
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  ssize_t length = fd < 0 ? -1 : read(fd, is, sizeof is);
  if (fd >= 0) close(fd);
  while (length > 0 && is[length - 1] == '\n') length--;
  return length == (ssize_t)strlen(value) && memcmp(is, value, (size_t)length) == 0;
}

int sysctl_write(const char *path, const char *value, bool if_different) {
  char whole[PATH_MAX];
  if (!allowed(path)) return -EACCES;
  if (snprintf(whole, sizeof whole, "/proc/sys/%s", path) >= PATH_MAX) return -ENAMETOOLONG;
  return if_different && holds(whole, value) ? 0 : netns_write_here(whole, value, strlen(value));
}
