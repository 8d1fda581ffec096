/* What the daemon has planned and the launcher does: docs/launcher-protocol.md, WORK. */
#ifndef WORK_H
#define WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connection;

struct section {
  const uint8_t *bytes;
  size_t length;
};

struct work {
  struct section tasks;
  struct section reply; /* empty: the daemon goes on */
};

/* How it went: a DONE frame, which is there until the next work. */
struct done {
  const uint8_t *frame;
  size_t length;
  bool whole; /* no task failed */
};

/* Takes the payload of a WORK frame apart; false: it is malformed. */
bool work_read(const uint8_t *payload, size_t length, struct work *work);

/*
 * Does the tasks up to the first one that fails, -ETIME once the connection's time is over. `netns` is the pod's network namespace, `netlink` a socket inside it, both
 * -1 when there is none. Answers 0, -EBADMSG for tasks that are malformed, or another -errno.
 */
int work_do(const struct work *work, const struct connection *connection, int netns, int netlink, struct done *done);

#endif
