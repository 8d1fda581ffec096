#include "sysctls.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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

static int write_sysctl(int netns, const char *path, const char *value) {
  char whole[PATH_MAX];
  if (!allowed(path)) return -EACCES;
  if (snprintf(whole, sizeof whole, "/proc/sys/%s", path) >= PATH_MAX) return -ENAMETOOLONG;
  return netns_write(netns, whole, value, strlen(value));
}

/* Where the string at `from` ends (behind its NUL), or NULL when it does not end inside the payload. */
static const uint8_t *string_end(const uint8_t *from, const uint8_t *end) {
  const uint8_t *nul = from < end ? memchr(from, 0, (size_t)(end - from)) : NULL;
  return nul == NULL ? NULL : nul + 1;
}

int sysctls_write(const struct frame *frame, int netns, uint8_t *outcomes) {
  const uint8_t *at = frame->payload, *end = frame->payload + frame->length;
  int count = 0;
  while (at < end) {
    uint8_t where = *at;
    const uint8_t *path = at + 2; /* The byte between says whether the daemon insists: its own business. */
    const uint8_t *value = string_end(path, end);
    at = value == NULL ? NULL : string_end(value, end);
    if (at == NULL || (where != 'p' && where != 'h')) return -1;
    int result = where == 'p' && netns < 0 ? -EBADF
                                           : write_sysctl(where == 'p' ? netns : -1, (const char *)path, (const char *)value);
    put_u32(outcomes + 4 * count++, (uint32_t)-result);
  }
  return count;
}
