#define _GNU_SOURCE
#include "runtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char installed[] = "/opt/flannelette";

/* Paths of PATH_MAX and more are refused by the kernel anyway, so a cut one simply is not found. */
static bool has(char path[PATH_MAX], int mode, const char *directory, const char *name, const char *suffix) {
  return snprintf(path, PATH_MAX, "%s/%s%s", directory, name, suffix) < PATH_MAX && access(path, mode) == 0;
}

static bool holds(struct runtime *runtime, const char *directory, const char *program) {
  return has(runtime->node, X_OK, directory, "node", "") && has(runtime->program, R_OK, directory, program, ".js") &&
         has(runtime->program, R_OK, directory, program, ".cjs");
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

const char *const runtime_for_long[RUNTIME_OPTIONS] = {
  "--max-semi-space-size=2", /* MB: the usual 16 would stay with a daemon that has once read thousands of peers */
  "--expose-gc", /* flanneld gives back what its start took */
  "--invocation-count-for-maglev=80", /* calls: mostly one for a pod, and the usual 400 pods are weeks on a small node */
};
const char *const runtime_for_short[RUNTIME_OPTIONS] = {
  "--min-semi-space-size=8", /* MB: more than it ever needs, so that nothing is collected */
  "--single-threaded", /* compiles nothing beside it */
};

int runtime_exec(struct runtime *runtime, const char *const options[RUNTIME_OPTIONS], char **arguments) {
  char **first = &arguments[RUNTIME_PLACES - 1];
  *first = runtime->program;
  for (int i = RUNTIME_OPTIONS - 1; i >= 0; i--)
    if (options[i] != NULL) *--first = (char *)options[i];
  *--first = runtime->node;
  setenv("MALLOC_ARENA_MAX", "1", 0); /* the runtime's threads would each keep some MB of their own */
  add_library_path(runtime);
  execv(runtime->node, first);
  return -errno;
}
