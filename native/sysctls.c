#include "sysctls.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "connection.h"
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

static int write_here(const char *path, const char *value) {
  char whole[PATH_MAX];
  if (snprintf(whole, sizeof whole, "/proc/sys/%s", path) >= PATH_MAX) return -ENAMETOOLONG;
  return netns_write_here(whole, value, strlen(value));
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
    uint8_t where = at[0], required = end - at > 1 ? at[1] : 0;
    const uint8_t *path = at + 2;
    const uint8_t *value = string_end(path, end);
    at = value == NULL ? NULL : string_end(value, end);
    if (at == NULL || (where != 'p' && where != 'h')) break;
    int result = allowed((const char *)path) ? go(where == 'p', netns, &home) : -EACCES;
    if (result == 0) result = write_here((const char *)path, (const char *)value);
    if (result != 0 && required) *refused = true;
    put_u32(outcomes + 4 * count++, (uint32_t)-result);
  }
  go(false, netns, &home);
  return at == end ? count : -1;
}
