#ifndef SYSCTLS_H
#define SYSCTLS_H

#include <stdbool.h>

/*
 * Writes a sysctl of the namespace where this thread is; `path` is relative to /proc/sys and must be below net/.
 * `if_different`: not when that is what it holds. Answers 0 or -errno, -EACCES for another path.
 */
int sysctl_write(const char *path, const char *value, bool if_different);

#endif
