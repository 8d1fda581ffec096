/* The launcher's side of its connection to flanneld: frames with deadlines. docs/launcher-protocol.md. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_PAYLOAD = 16 * 1024 * 1024, FRAME_HEADER = 8, MAX_DESCRIPTORS = 2 };

enum frame_type { REQUEST = 1, REPLY, NOT_MINE, WORK, DONE, AHEAD };

struct frame {
  uint32_t type;
  uint32_t length;
  const uint8_t *payload;
};

struct connection {
  int fd;
  int64_t deadline; /* milliseconds of CLOCK_BOOTTIME, which goes on while the machine sleeps */
  int timeout;      /* the milliseconds that led to it, for a message */
  bool late;        /* that was why a call has answered false */
  char why[256];    /* what went wrong, once a call has answered false */
  uint8_t *data;    /* what was received: `first`, or more of it */
  size_t size, length, read;
  uint8_t first[16 * 1024];
};

/* Connects to the daemon at `path`. The rest must be done within `timeout` milliseconds, and those by which that is extended. */
bool connection_open(struct connection *connection, const char *path, int timeout);
void connection_extend(struct connection *connection, int milliseconds);
/* Whether that time is over. */
bool connection_is_over(const struct connection *connection);

/* Sends bytes, the descriptors (MAX_DESCRIPTORS at most) riding on the first of them. */
bool connection_send(struct connection *connection, const void *data, size_t length, const int *descriptors, size_t count);

/* The next frame; its payload is there until the next call. */
bool connection_receive(struct connection *connection, struct frame *frame);
void connection_close(struct connection *connection);

/* A frame's header, and numbers as the wire has them: little endian. */
void put_u32(uint8_t *into, uint32_t value);
uint32_t get_u32(const uint8_t *from);

#endif
