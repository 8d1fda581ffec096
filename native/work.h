/* The last part of a request, which the daemon leaves to the launcher: docs/launcher-protocol.md, WORK. */
#ifndef WORK_H
#define WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct section {
  const uint8_t *bytes;
  size_t length;
};

struct work {
  struct section sysctls;
  struct section messages; /* for the pod's netlink socket, one behind the other */
  struct section reply;    /* empty: the daemon goes on */
};

/* The payload of a DONE frame. */
struct done {
  uint8_t *payload;
  size_t length;
  bool whole; /* nothing that matters failed */
};

/* Takes the payload of a WORK frame apart; false: it is malformed. */
bool work_read(const uint8_t *payload, size_t length, struct work *work);

/* Does it, up to the first message that the kernel refuses. Answers 0 or -errno, -EBADMSG for a malformed list. */
int work_do(const struct work *work, int netns, int netlink, struct done *done);

#endif
