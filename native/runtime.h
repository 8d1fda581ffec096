/* The JavaScript runtime that is installed with the programs. Shared by the launcher and the starter. */
#ifndef RUNTIME_H
#define RUNTIME_H

#include <limits.h>
#include <stdbool.h>

struct runtime {
  char own[PATH_MAX];     /* this executable's own path, symbolic links resolved */
  char node[PATH_MAX];
  char program[PATH_MAX]; /* the bundle */
  char looked[2 * PATH_MAX + 16]; /* the directories that were looked through, for a message */
};

/*
 * Finds node and `<program>.cjs` in `flannelette/` beside this executable, else in /opt/flannelette.
 * `program` NULL: the one named like this executable. False: neither directory holds both.
 */
bool runtime_find(struct runtime *runtime, const char *program);

/*
 * Becomes the program. `arguments` end with NULL and begin with four places that this fills in. Comes
 * back only when exec fails: -errno.
 */
int runtime_exec(struct runtime *runtime, char **arguments);

#endif
