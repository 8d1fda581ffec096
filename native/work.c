#define _GNU_SOURCE
#include "work.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"
#include "netns.h"
#include "sysctls.h"

/* As long as an acknowledgement gets (our own header, and words of the kernel's), and as a message may be. */
enum { ANSWER = 8192, MESSAGE = 65536 };

/* What is left to read. Once something was missing nothing more is there. */
struct cursor {
  const uint8_t *at, *end;
};

struct worker {
  int netns;   /* the pod's */
  int netlink; /* a socket in the pod */
  int host;    /* a socket in this process's own namespace, when it was needed */
  int home;    /* leads back from the pod; -1: this thread is at home */
  struct directory directory; /* of the namespace where it is */
  uint32_t ifindex;
  uint8_t *answer; /* of the kernel, to the message that was sent last */
  ssize_t length;
};

static const uint8_t *take(struct cursor *cursor, size_t length) {
  const uint8_t *bytes = cursor->at;
  if ((size_t)(cursor->end - cursor->at) < length) {
    cursor->at = cursor->end = NULL;
    return NULL;
  }
  cursor->at += length;
  return bytes;
}

static uint8_t take_u8(struct cursor *cursor) {
  const uint8_t *byte = take(cursor, 1);
  return byte == NULL ? 0 : *byte;
}

static uint32_t take_u32(struct cursor *cursor) {
  const uint8_t *bytes = take(cursor, 4);
  return bytes == NULL ? 0 : get_u32(bytes);
}

static const char *take_string(struct cursor *cursor) {
  const uint8_t *nul = cursor->at == cursor->end ? NULL : memchr(cursor->at, 0, (size_t)(cursor->end - cursor->at));
  return (const char *)take(cursor, nul == NULL ? SIZE_MAX : (size_t)(nul + 1 - cursor->at));
}

/* Where this thread has to be. */
static int go(struct worker *worker, bool into_pod) {
  if (into_pod && worker->netns < 0) return -EBADF;
  if (into_pod == (worker->home >= 0)) return 0;
  directory_close(&worker->directory);
  if (into_pod) return netns_enter(worker->netns, &worker->home);
  netns_leave(worker->home);
  worker->home = -1;
  return 0;
}

static int socket_in(struct worker *worker, bool pod) {
  if (pod) return worker->netlink < 0 ? -EBADF : worker->netlink;
  if (worker->host >= 0) return worker->host;
  int result = go(worker, false);
  if (result == 0) result = netns_open_netlink(-1, NETLINK_ROUTE);
  if (result >= 0) worker->host = result;
  return result;
}

static int write_sysctl(struct worker *worker, struct cursor *cursor, bool in_pod) {
  bool required = take_u8(cursor) != 0;
  const char *path = take_string(cursor), *value = take_string(cursor);
  if (value == NULL) return -EBADMSG;
  int result = go(worker, in_pod);
  if (result != 0) return result;
  result = sysctl_write(&worker->directory, path, value);
  return required ? result : 0;
}

/* What follows is about this link. */
static int find_link(struct worker *worker, struct cursor *cursor, bool in_pod) {
  const char *name = take_string(cursor);
  struct ifreq request = {0};
  if (name == NULL || strlen(name) >= sizeof request.ifr_name) return -EBADMSG;
  strcpy(request.ifr_name, name);
  int fd = socket_in(worker, in_pod);
  if (fd < 0) return fd;
  if (ioctl(fd, SIOCGIFINDEX, &request) != 0) return -errno;
  worker->ifindex = (uint32_t)request.ifr_ifindex;
  return 0;
}

/* The kernel's answer to a message, which is there when send(2) returns. Answers 0 or the -errno in it. */
static int ask(struct worker *worker, int fd, const uint8_t *message, size_t length) {
  struct nlmsghdr header;
  int error;
  if (send(fd, message, length, MSG_NOSIGNAL) < 0) return -errno;
  for (;;) {
    struct sockaddr_nl sender = {0};
    socklen_t size = sizeof sender;
    worker->length = recvfrom(fd, worker->answer, ANSWER, 0, (struct sockaddr *)&sender, &size);
    if (worker->length < 0 && errno == EINTR) continue;
    if (worker->length < 0) return -errno;
    /* Any process may send to a netlink port; only port 0 is the kernel. */
    if (sender.nl_pid == 0) break;
  }
  if (worker->length < (ssize_t)(sizeof header + sizeof error)) return -EPROTO;
  memcpy(&header, worker->answer, sizeof header);
  memcpy(&error, worker->answer + sizeof header, sizeof error);
  return header.nlmsg_type == NLMSG_ERROR ? error : -EPROTO;
}

static int send_message(struct worker *worker, struct cursor *cursor, bool in_pod) {
  int tolerated = (int)take_u32(cursor);
  uint32_t place = take_u32(cursor), length = take_u32(cursor);
  const uint8_t *bytes = take(cursor, length);
  static uint8_t message[MESSAGE];
  if (bytes == NULL || length < sizeof(struct nlmsghdr) || length > sizeof message) return -EBADMSG;
  if (place > length - 4) return -EBADMSG;
  memcpy(message, bytes, length);
  if (place > 0) memcpy(message + place, &worker->ifindex, 4);
  int fd = socket_in(worker, in_pod);
  int result = fd < 0 ? fd : ask(worker, fd, message, length);
  return result == -tolerated ? 0 : result;
}

static int do_task(struct worker *worker, struct cursor *cursor) {
  uint8_t what = take_u8(cursor), place = take_u8(cursor);
  if (place != 'p' && place != 'h') return -EBADMSG;
  switch (what) {
    case 's': return write_sysctl(worker, cursor, place == 'p');
    case 'l': return find_link(worker, cursor, place == 'p');
    case 'm': return send_message(worker, cursor, place == 'p');
    default: return -EBADMSG;
  }
}

bool work_read(const uint8_t *payload, size_t length, struct work *work) {
  struct cursor cursor = {payload, payload + length};
  size_t tasks = take_u32(&cursor);
  const uint8_t *bytes = take(&cursor, tasks);
  if (bytes == NULL) return false;
  work->tasks = (struct section){bytes, tasks};
  work->reply = (struct section){cursor.at, (size_t)(cursor.end - cursor.at)};
  return true;
}

int work_do(const struct work *work, const struct connection *connection, int netns, int netlink, struct done *done) {
  enum { HEAD = 8 };
  static uint8_t frame[FRAME_HEADER + HEAD + ANSWER];
  uint8_t *payload = frame + FRAME_HEADER;
  struct worker worker = {.netns = netns, .netlink = netlink, .host = -1, .home = -1, .answer = payload + HEAD};
  struct cursor cursor = {work->tasks.bytes, work->tasks.bytes + work->tasks.length};
  uint32_t count = 0;
  int failed = 0;
  while (failed == 0 && cursor.at != cursor.end) {
    worker.length = 0;
    failed = connection_is_over(connection) ? -ETIME : do_task(&worker, &cursor);
    if (failed == 0) count++;
  }
  directory_close(&worker.directory);
  go(&worker, false);
  if (worker.host >= 0) close(worker.host);
  if (failed == -EBADMSG) return failed;
  put_u32(payload, count);
  put_u32(payload + 4, (uint32_t)-failed);
  size_t answer = failed != 0 && worker.length > 0 ? (size_t)worker.length : 0;
  put_u32(frame, DONE);
  put_u32(frame + 4, (uint32_t)(HEAD + answer));
  *done = (struct done){frame, FRAME_HEADER + HEAD + answer, failed == 0};
  return 0;
}
