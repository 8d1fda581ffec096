#define _GNU_SOURCE
#include "new_netns.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <uv.h>

struct creation {
  const char *path;
  int result;
};

static void create(void *argument) {
  struct creation *creation = argument;
  if (unshare(CLONE_NEWNET) != 0 || mount("/proc/thread-self/ns/net", creation->path, "none", MS_BIND, NULL) != 0)
    creation->result = -errno;
}

/* On a thread of its own, so that no thread that lives on ever leaves its namespace. */
int new_netns(const char *path) {
  struct creation creation = {.path = path};
  uv_thread_t thread;
  int failed = uv_thread_create(&thread, create, &creation);
  if (failed != 0) return failed;
  uv_thread_join(&thread);
  return creation.result;
}
