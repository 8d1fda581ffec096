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
enum { ANSWER = 8192, MESSAGE = 65536, DONE_HEAD = 8 };

/* A DONE frame; the kernel's answers are received where they stand in it. */
static uint8_t frame[FRAME_HEADER + DONE_HEAD + ANSWER];
static uint8_t *const payload = frame + FRAME_HEADER, *const answer = frame + FRAME_HEADER + DONE_HEAD;

/* What is left to read. Once something was missing nothing more is there. */
struct cursor {
  const uint8_t *at, *end;
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
  if (into_pod && (worker->netns < 0 || worker->home < 0)) return -EBADF;
  if (into_pod == worker->away) return 0;
  sysctl_directory_close(&worker->directory);
  int failed = 0;
  if (into_pod) failed = netns_enter(worker->netns);
  else netns_return(worker->home);
  worker->away = into_pod && failed == 0;
  return failed;
}

static int socket_in(struct worker *worker, bool pod) {
  if (pod) return worker->netlink < 0 ? -EBADF : worker->netlink;
  if (worker->host >= 0) return worker->host;
  int result = go(worker, false);
  if (result == 0) result = netns_open_netlink_here(NETLINK_ROUTE);
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

/* That it could not be done is no failure: the daemon is told at the end. */
static int exchange_sysctl(struct worker *worker, struct cursor *cursor, bool in_pod) {
  const char *path = take_string(cursor), *before = take_string(cursor), *value = take_string(cursor);
  if (value == NULL) return -EBADMSG;
  int result = go(worker, in_pod);
  if (result == 0) worker->exchanged = sysctl_exchange(&worker->directory, path, before, value) == 1;
  return result;
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
    worker->length = recvfrom(fd, answer, ANSWER, 0, (struct sockaddr *)&sender, &size);
    if (worker->length < 0 && errno == EINTR) continue;
    if (worker->length < 0) return -errno;
    /* Any process may send to a netlink port; only port 0 is the kernel. */
    if (sender.nl_pid == 0) break;
  }
  if (worker->length < (ssize_t)(sizeof header + sizeof error)) return -EPROTO;
  memcpy(&header, answer, sizeof header);
  memcpy(&error, answer + sizeof header, sizeof error);
  return header.nlmsg_type == NLMSG_ERROR ? error : -EPROTO;
}

static int send_message(struct worker *worker, struct cursor *cursor, bool in_pod) {
  uint32_t tolerated = take_u32(cursor);
  uint32_t offset = take_u32(cursor), length = take_u32(cursor);
  const uint8_t *bytes = take(cursor, length);
  static uint8_t message[MESSAGE];
  if (bytes == NULL || length < sizeof(struct nlmsghdr) || length > sizeof message) return -EBADMSG;
  if (offset > length - 4) return -EBADMSG;
  memcpy(message, bytes, length);
  if (offset > 0) memcpy(message + offset, &worker->ifindex, 4);
  int fd = socket_in(worker, in_pod);
  int result = fd < 0 ? fd : ask(worker, fd, message, length);
  return -(uint32_t)result == tolerated ? 0 : result;
}

static int do_line(struct worker *worker, struct cursor *cursor) {
  uint8_t what = take_u8(cursor), place = take_u8(cursor);
  if (place != 'p' && place != 'h') return -EBADMSG;
  bool in_pod = place == 'p';
  switch (what) {
    case 's': return write_sysctl(worker, cursor, in_pod);
    case 'x': return exchange_sysctl(worker, cursor, in_pod);
    case 'l': return find_link(worker, cursor, in_pod);
    case 'm': return send_message(worker, cursor, in_pod);
    default: return -EBADMSG;
  }
}

bool work_read(const uint8_t *bytes, size_t length, struct work *work) {
  struct cursor cursor = {bytes, bytes + length};
  size_t script = take_u32(&cursor);
  const uint8_t *lines = take(&cursor, script);
  if (lines == NULL) return false;
  work->script = (struct section){lines, script};
  work->reply = (struct section){cursor.at, (size_t)(cursor.end - cursor.at)};
  return true;
}

struct worker work_begin(int home, int netns, int netlink) {
  return (struct worker){.home = home, .netns = netns, .netlink = netlink, .host = -1};
}

bool work_do(struct worker *worker, struct section script, const struct connection *connection) {
  struct cursor cursor = {script.bytes, script.bytes + script.length};
  while (worker->failed == 0 && cursor.at != cursor.end) {
    worker->length = 0;
    worker->failed = connection_is_over(connection) ? -ETIME : do_line(worker, &cursor);
    if (worker->failed == 0) worker->count++;
  }
  return worker->failed != -EBADMSG;
}

struct done work_done(struct worker *worker) {
  bool whole = worker->failed == 0;
  size_t answered = !whole && worker->length > 0 ? (size_t)worker->length : 0;
  if (whole && worker->exchanged) answer[answered++] = 1;
  put_u32(payload, worker->count);
  put_u32(payload + 4, (uint32_t)-worker->failed);
  put_u32(frame, DONE);
  put_u32(frame + 4, (uint32_t)(DONE_HEAD + answered));
  worker->count = 0;
  worker->failed = 0;
  return (struct done){frame, FRAME_HEADER + DONE_HEAD + answered, whole};
}

void work_end(struct worker *worker) {
  go(worker, false);
  sysctl_directory_close(&worker->directory);
  if (worker->host >= 0) close(worker->host);
}
