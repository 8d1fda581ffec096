/* The JavaScript runtime that is installed with the programs. Shared by the launcher and the starter. */
#ifndef RUNTIME_H
#define RUNTIME_H

#include <limits.h>
#include <stdbool.h>

struct runtime {
  char own[PATH_MAX];     /* this executable's own path, symbolic links resolved */
  char node[PATH_MAX];
  char program[PATH_MAX]; /* what starts the bundle, which is beside it */
  char looked[2 * PATH_MAX + 16]; /* the directories that were looked through, for a message */
};

/*
 * Finds node, `<program>.js` and `<program>.cjs` in `flannelette/` beside this executable, else in /opt/flannelette.
 * `program` NULL: the one named like this executable. False: neither directory holds all three.
 */
bool runtime_find(struct runtime *runtime, const char *program);

/* How node is to behave: for a program that goes on for months, and for one that is over in some milliseconds. */
extern const char *const runtime_for_long[2], *const runtime_for_short[2];

/*
 * Becomes the program. `arguments` end with NULL and begin with four places that this fills in, two of them with
 * the options. Comes back only when exec fails: -errno.
 */
int runtime_exec(struct runtime *runtime, const char *const options[2], char **arguments);

#endif
