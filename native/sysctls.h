#ifndef SYSCTLS_H
#define SYSCTLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Writes the sysctls of a list (docs/launcher-protocol.md): into the pod's namespace `netns` or this process's own.
 * Answers the number of entries, whose outcomes (0 or errno, four bytes each) are put into `outcomes`, or -1 when
 * the list is malformed. `outcomes` must have room for as many bytes as the list is long. `refused`: one that is required
 * was not written.
 */
int sysctls_write(const uint8_t *list, size_t length, int netns, uint8_t *outcomes, bool *refused);

#endif
