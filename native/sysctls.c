#include "sysctls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "connection.h"
#include "netns.h"

/* Of an entry, before its strings: place, required, only where it differs. */
enum { HEAD = 3 };

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
  ssize_t length = fd < 0 ? -1 : read(fd, is, sizeof is - 1);
  if (fd >= 0) close(fd);
  while (length > 0 && is[length - 1] == '\n') length--;
  return length == (ssize_t)strlen(value) && memcmp(is, value, (size_t)length) == 0;
}

static int write_here(const char *path, const char *value, bool if_different) {
  char whole[PATH_MAX];
  if (snprintf(whole, sizeof whole, "/proc/sys/%s", path) >= PATH_MAX) return -ENAMETOOLONG;
  return if_different && holds(whole, value) ? 0 : netns_write_here(whole, value, strlen(value));
}

/* Where the string at `from` ends (behind its NUL), or NULL when it does not end inside the list. */
static const uint8_t *string_end(const uint8_t *from, const uint8_t *end) {
  const uint8_t *nul = from < end ? memchr(from, 0, (size_t)(end - from)) : NULL;
  return nul == NULL ? NULL : nul + 1;
}

/* Where this thread is: `home` leads back from the pod, and is -1 at home. */
static int go(bool into_pod, int netns, int *home) {
  if (into_pod && netns < 0) return -EBADF;
  if (into_pod == (*home >= 0)) return 0;
  if (into_pod) return netns_enter(netns, home);
  netns_leave(*home);
  *home = -1;
  return 0;
}

int sysctls_write(const uint8_t *list, size_t length, int netns, uint8_t *outcomes, bool *refused) {
  const uint8_t *at = list, *end = list + length;
  int count = 0, home = -1;
  *refused = false;
  while (at != NULL && at < end) {
    if (end - at < HEAD) break;
    bool in_pod = at[0] == 'p', required = at[1] != 0, if_different = at[2] != 0;
    if (!in_pod && at[0] != 'h') break;
    const uint8_t *path = at + HEAD;
    const uint8_t *value = string_end(path, end);
    at = value == NULL ? NULL : string_end(value, end);
    if (at == NULL) break;
    int result = allowed((const char *)path) ? go(in_pod, netns, &home) : -EACCES;
    if (result == 0) result = write_here((const char *)path, (const char *)value, if_different);
    if (result != 0 && required) *refused = true;
    put_u32(outcomes + 4 * count++, (uint32_t)-result);
  }
  go(false, netns, &home);
  return at == end ? count : -1;
}
