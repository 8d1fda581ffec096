/* What the daemon has planned and the launcher does: docs/launcher-protocol.md, WORK. */
#ifndef WORK_H
#define WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sysctls.h"

struct connection;

struct section {
  const uint8_t *bytes;
  size_t length;
};

struct work {
  struct section script;
  struct section reply; /* empty: the daemon goes on */
};

/* How it went: a DONE frame, which is there until the next work. */
struct done {
  const uint8_t *frame;
  size_t length;
  bool whole; /* no line failed */
};

/* Who does scripts, one after the other: one goes on where the other was. */
struct worker {
  int home;    /* this process's own namespace */
  int netns;   /* the pod's */
  int netlink; /* a socket in the pod */
  int host;    /* a socket at home, when it was needed */
  bool away;   /* this thread is in the pod */
  struct sysctl_directory directory; /* of the namespace where it is */
  bool exchanged; /* the sysctl that was to be, last */
  uint32_t ifindex;
  uint32_t count; /* lines that are done */
  int failed;     /* -errno of the next one; nothing is done behind it */
  ssize_t length; /* of the kernel's answer to the message that was sent last */
};

/* Takes the payload of a WORK frame apart; false: it is malformed. */
bool work_read(const uint8_t *payload, size_t length, struct work *work);

/* `netns` is the pod's network namespace, `netlink` a socket inside it, both -1 when there is none; `home` is this process's own one. */
struct worker work_begin(int home, int netns, int netlink);

/*
 * Does the lines of a script up to the first one that fails, with -ETIME once the connection's time is over. False: it makes
 * no sense.
 */
bool work_do(struct worker *worker, struct section script, const struct connection *connection);

/* How the scripts went since the last time this was asked. */
struct done work_done(struct worker *worker);

/* Goes home. */
void work_end(struct worker *worker);

#endif
