#define _GNU_SOURCE
#include "runtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char installed[] = "/opt/flannelette";

/* Paths of PATH_MAX and more are refused by the kernel anyway, so a cut one simply is not found. */
static bool holds(struct runtime *runtime, const char *directory, const char *program) {
  int node = snprintf(runtime->node, sizeof runtime->node, "%s/node", directory);
  int bundle = snprintf(runtime->program, sizeof runtime->program, "%s/%s.cjs", directory, program);
  if (node >= PATH_MAX || bundle >= PATH_MAX) return false;
  return access(runtime->node, X_OK) == 0 && access(runtime->program, R_OK) == 0;
}

bool runtime_find(struct runtime *runtime, const char *program) {
  ssize_t length = readlink("/proc/self/exe", runtime->own, sizeof runtime->own - 1);
  runtime->own[length > 0 ? length : 0] = 0;
  const char *slash = strrchr(runtime->own, '/');
  const char *name = slash == NULL ? runtime->own : slash + 1;
  char beside[PATH_MAX + 16];
  snprintf(beside, sizeof beside, "%.*sflannelette", (int)(name - runtime->own), runtime->own);
  snprintf(runtime->looked, sizeof runtime->looked, "%s and %s", beside, installed);
  if (program == NULL) program = name;
  return holds(runtime, beside, program) || holds(runtime, installed, program);
}

/*
 * node needs libatomic.so.1, which a plain Debian does not have, so it is installed beside node. The search
 * path keeps what the environment said already.
 */
static void add_library_path(const struct runtime *runtime) {
  const char *before = getenv("LD_LIBRARY_PATH");
  char *path;
  int directory = (int)(strrchr(runtime->node, '/') - runtime->node);
  bool empty = before == NULL || *before == 0;
  if (asprintf(&path, "%.*s%s%s", directory, runtime->node, empty ? "" : ":", empty ? "" : before) > 0)
    setenv("LD_LIBRARY_PATH", path, 1);
}

/* The build leaves the bundles' compiled code there: node starts some 5 ms earlier. An environment that names a place goes first. */
static void use_compiled_code(const struct runtime *runtime) {
  char *path;
  int directory = (int)(strrchr(runtime->node, '/') - runtime->node);
  if (asprintf(&path, "%.*s/compiled", directory, runtime->node) <= 0) return;
  if (access(path, R_OK) == 0 && setenv("NODE_COMPILE_CACHE", path, 0) == 0)
    setenv("NODE_COMPILE_CACHE_PORTABLE", "1", 0); /* the tree may be copied anywhere */
  free(path);
}

int runtime_exec(struct runtime *runtime, char **arguments) {
  arguments[0] = runtime->node;
  arguments[1] = "--max-semi-space-size=2"; /* MB: the usual 16 would stay with a daemon that has once read thousands of peers */
  arguments[2] = "--expose-gc"; /* flanneld gives back what its start took */
  arguments[3] = runtime->program;
  setenv("MALLOC_ARENA_MAX", "1", 0); /* the runtime's threads would each keep some MB of their own */
  add_library_path(runtime);
  use_compiled_code(runtime);
  execv(runtime->node, arguments);
  return -errno;
}
