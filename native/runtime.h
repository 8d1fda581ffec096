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

enum { RUNTIME_OPTIONS = 3, RUNTIME_PLACES = RUNTIME_OPTIONS + 2 };

/* How node is to behave: for a program that goes on for months, and for one that is over in some milliseconds. */
extern const char *const runtime_for_long[RUNTIME_OPTIONS], *const runtime_for_short[RUNTIME_OPTIONS];

/*
 * Becomes the program. `arguments` end with NULL and begin with RUNTIME_PLACES places for node, the options, of which fewer may be
 * given, and the program. Comes back only when exec fails: -errno.
 */
int runtime_exec(struct runtime *runtime, const char *const options[RUNTIME_OPTIONS], char **arguments);

#endif
