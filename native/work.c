#define _GNU_SOURCE
#include "work.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "connection.h"
#include "sysctls.h"

/* As long as an acknowledgement gets: our own header, and words of the kernel's. */
enum { ANSWER = 8192 };

/* The section that begins with its length, moved behind. */
static bool take(struct section *rest, struct section *section) {
  if (rest->length < 4) return false;
  size_t length = get_u32(rest->bytes);
  if (length > rest->length - 4) return false;
  *section = (struct section){rest->bytes + 4, length};
  *rest = (struct section){section->bytes + length, rest->length - 4 - length};
  return true;
}

bool work_read(const uint8_t *payload, size_t length, struct work *work) {
  struct section rest = {payload, length};
  if (!take(&rest, &work->sysctls) || !take(&rest, &work->messages)) return false;
  work->reply = rest;
  return true;
}

/* The kernel's answer to one message, which is there when send(2) returns: its length, or -errno. */
static ssize_t ask(int netlink, struct section message, uint8_t *answer) {
  if (send(netlink, message.bytes, message.length, MSG_NOSIGNAL) < 0) return -errno;
  for (;;) {
    struct sockaddr_nl sender = {0};
    socklen_t size = sizeof sender;
    ssize_t length = recvfrom(netlink, answer, ANSWER, 0, (struct sockaddr *)&sender, &size);
    if (length < 0 && errno != EINTR) return -errno;
    /* Any process may send to a netlink port; only port 0 is the kernel. */
    if (length >= (ssize_t)sizeof(struct nlmsghdr) && sender.nl_pid == 0) return length;
  }
}

/* Whether an acknowledgement says that all went well. */
static bool is_success(const uint8_t *answer, ssize_t length) {
  struct nlmsghdr header;
  int error;
  if (length < (ssize_t)(sizeof header + sizeof error)) return false;
  memcpy(&header, answer, sizeof header);
  memcpy(&error, answer + sizeof header, sizeof error);
  return header.nlmsg_type == NLMSG_ERROR && error == 0;
}

/*
 * Sends the messages one after the other, up to the first one that fails, whose answer (or -errno instead of its length)
 * is left behind. Answers how many went well, or -EBADMSG.
 */
static int send_messages(struct section messages, int netlink, uint8_t *answer, ssize_t *length) {
  int count = 0;
  while (messages.length > 0) {
    struct nlmsghdr header;
    if (messages.length < sizeof header) return -EBADMSG;
    memcpy(&header, messages.bytes, sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > messages.length) return -EBADMSG;
    *length = ask(netlink, (struct section){messages.bytes, header.nlmsg_len}, answer);
    if (!is_success(answer, *length)) return count;
    size_t whole = NLMSG_ALIGN(header.nlmsg_len);
    if (whole > messages.length) whole = messages.length;
    messages = (struct section){messages.bytes + whole, messages.length - whole};
    *length = 0;
    count++;
  }
  return count;
}

int work_do(const struct work *work, int netns, int netlink, struct done *done) {
  uint8_t *payload = malloc(4 + work->sysctls.length + ANSWER);
  if (payload == NULL) return -ENOMEM;
  bool refused;
  int sysctls = sysctls_write(work->sysctls.bytes, work->sysctls.length, netns, payload + 4, &refused);
  uint8_t *answer = payload + 4 + 4 * (sysctls < 0 ? 0 : sysctls);
  ssize_t length = 0;
  int messages = sysctls < 0 ? -EBADMSG : refused ? 0 : send_messages(work->messages, netlink, answer, &length);
  if (messages < 0) {
    free(payload);
    return messages;
  }
  put_u32(payload, (uint32_t)messages);
  size_t kept = length > 0 ? (size_t)length : 0;
  *done = (struct done){payload, (size_t)(answer - payload) + kept, !refused && length == 0};
  return 0;
}
