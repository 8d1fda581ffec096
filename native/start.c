/*
 * flanneld and cni-tool: a tree that is copied to a host without Node needs an executable that finds
 * the runtime beside itself. The name of this file is the name of the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime.h"

int main(int argc, char **argv) {
  static struct runtime runtime;
  if (!runtime_find(&runtime, NULL)) {
    fprintf(stderr, "%s: node or this program's bundle (.js and .cjs) is missing: looked in %s.\nCopy the directory "
            "flannelette together with this executable, or install it as /opt/flannelette.\n",
            runtime.own, runtime.looked);
    return 127;
  }
  char **arguments = calloc((size_t)argc + RUNTIME_PLACES, sizeof *arguments);
  if (arguments == NULL) return 126;
  for (int i = 1; i < argc; i++) arguments[RUNTIME_PLACES - 1 + i] = argv[i];
  int failed = runtime_exec(&runtime, runtime_for_long, arguments);
  fprintf(stderr, "%s: cannot run %s: %s\n", runtime.own, runtime.node, strerror(-failed));
  return 126;
}
