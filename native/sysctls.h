#ifndef SYSCTLS_H
#define SYSCTLS_H

#include <stdint.h>

#include "connection.h"

/*
 * Writes what a SYSCTLS frame lists: into the pod's namespace `netns` or this process's own. Answers the
 * number of entries, whose outcomes (0 or errno, four bytes each) are put into `outcomes`, or -1 when the
 * frame is malformed. `outcomes` must have room for as many bytes as the frame's payload is long.
 */
int sysctls_write(const struct frame *frame, int netns, uint8_t *outcomes);

#endif
