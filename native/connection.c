#define _GNU_SOURCE
#include "connection.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_BOOTTIME, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

void put_u32(uint8_t *into, uint32_t value) {
  value = htole32(value);
  memcpy(into, &value, sizeof value);
}

uint32_t get_u32(const uint8_t *from) {
  uint32_t value;
  memcpy(&value, from, sizeof value);
  return le32toh(value);
}

static bool fail(struct connection *connection, const char *what, const char *detail) {
  snprintf(connection->why, sizeof connection->why, "%s%s", what, detail);
  return false;
}

void connection_extend(struct connection *connection, int milliseconds) {
  connection->timeout = milliseconds;
  connection->deadline += milliseconds;
  connection->late = false;
}

bool connection_is_over(const struct connection *connection) { return now() > connection->deadline; }

void connection_close(struct connection *connection) {
  if (connection->fd >= 0) close(connection->fd);
  connection->fd = -1;
}

/* Whoever answers decides what this process, root on the host, does next: only root may. */
static bool trusted(struct connection *connection) {
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(connection->fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
    return fail(connection, "the daemon's credentials are unknown: ", strerror(errno));
  if (peer.uid == 0) return true;
  char uid[16];
  snprintf(uid, sizeof uid, "%u", peer.uid);
  return fail(connection, "it is served by a process that is not root but uid ", uid);
}

bool connection_open(struct connection *connection, const char *path, int timeout) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  connection->fd = -1;
  connection->data = connection->first;
  connection->size = sizeof connection->first;
  connection->length = connection->read = 0;
  connection->deadline = now();
  connection_extend(connection, timeout);
  if (strlen(path) >= sizeof address.sun_path) return fail(connection, strerror(ENAMETOOLONG), "");
  strcpy(address.sun_path, path);
  connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  /* connect(2) waits in a full queue for as long as SO_SNDTIMEO says. */
  struct timeval limit = {.tv_sec = timeout / 1000, .tv_usec = timeout % 1000 * 1000};
  if (connection->fd < 0 || setsockopt(connection->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
    return fail(connection, strerror(errno), "");
  if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) != 0)
    return fail(connection, strerror(errno), "");
  return trusted(connection);
}

static bool wait_for(struct connection *connection, short events) {
  struct pollfd waited = {.fd = connection->fd, .events = events};
  for (;;) {
    int64_t left = connection->deadline - now();
    int ready = left > 0 ? poll(&waited, 1, (int)left) : 0;
    if (ready > 0) return true;
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return fail(connection, strerror(errno), "");
    char milliseconds[32];
    snprintf(milliseconds, sizeof milliseconds, "%d ms", connection->timeout);
    connection->late = true;
    return fail(connection, "it did not answer within ", milliseconds);
  }
}

bool connection_send(struct connection *connection, const void *data, size_t length, const int *descriptors, size_t count) {
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(MAX_DESCRIPTORS * sizeof(int))];
  } control = {0};
  struct iovec iov = {(void *)data, length};
  struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
  if (count > MAX_DESCRIPTORS) return fail(connection, strerror(EINVAL), "");
  if (count > 0) {
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(count * sizeof *descriptors);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(count * sizeof *descriptors);
    memcpy(CMSG_DATA(&control.header), descriptors, count * sizeof *descriptors);
  }
  while (iov.iov_len > 0) {
    ssize_t sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) return fail(connection, "sending failed: ", strerror(errno));
    if (sent < 0 && !wait_for(connection, POLLOUT)) return false;
    if (sent < 0) continue;
    iov.iov_base = (char *)iov.iov_base + sent;
    iov.iov_len -= (size_t)sent;
    message.msg_control = NULL;
    message.msg_controllen = 0;
  }
  return true;
}

static bool make_room(struct connection *connection, size_t size) {
  if (size <= connection->size) return true;
  uint8_t *data = malloc(size);
  if (data == NULL) return fail(connection, strerror(ENOMEM), "");
  memcpy(data, connection->data, connection->length);
  if (connection->data != connection->first) free(connection->data);
  connection->data = data;
  connection->size = size;
  return true;
}

/* Receives until so many bytes are there. */
static bool receive(struct connection *connection, size_t length) {
  while (connection->length < length) {
    if (!wait_for(connection, POLLIN)) return false;
    size_t room = connection->size - connection->length;
    ssize_t received = recv(connection->fd, connection->data + connection->length, room, MSG_DONTWAIT);
    if (received == 0) return fail(connection, "it closed the connection", "");
    if (received < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (received < 0) return fail(connection, "receiving failed: ", strerror(errno));
    connection->length += (size_t)received;
  }
  return true;
}

bool connection_receive(struct connection *connection, struct frame *frame) {
  connection->length -= connection->read;
  memmove(connection->data, connection->data + connection->read, connection->length);
  connection->read = 0;
  if (!receive(connection, FRAME_HEADER)) return false;
  frame->type = get_u32(connection->data);
  frame->length = get_u32(connection->data + 4);
  if (frame->length > MAX_PAYLOAD) return fail(connection, "it sent a frame of more than 16 MiB", "");
  size_t whole = FRAME_HEADER + frame->length;
  if (!make_room(connection, whole) || !receive(connection, whole)) return false;
  frame->payload = connection->data + FRAME_HEADER;
  connection->read = whole;
  return true;
}
