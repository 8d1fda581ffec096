#define _GNU_SOURCE
#include "request.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "connection.h"
#include "netns.h"

static int reserve(struct request *request, size_t *size, size_t more) {
  if (request->length + more <= *size) return 0;
  size_t wanted = 2 * (request->length + more);
  uint8_t *grown = realloc(request->frame, wanted);
  if (grown == NULL) return -ENOMEM;
  request->frame = grown;
  *size = wanted;
  return 0;
}

/* Appends a string with its NUL. */
static int append(struct request *request, size_t *size, const char *text) {
  size_t length = strlen(text) + 1;
  int failed = reserve(request, size, length);
  if (failed != 0) return failed;
  memcpy(request->frame + request->length, text, length);
  request->length += length;
  return 0;
}

/* Answers 0 or a positive errno. */
static int open_socket_in(struct request *request) {
  if (request->home < 0) return -request->home;
  int result = netns_enter(request->netns);
  if (result < 0) return -result;
  request->netlink = netns_open_netlink_here(NETLINK_ROUTE);
  netns_return(request->home);
  return request->netlink < 0 ? -request->netlink : 0;
}

/*
 * Opens the namespace and the socket inside it, and says in `state` how that went. O_NONBLOCK because a
 * FIFO under that name must not hold the launcher. A namespace of another kind is found out by setns(2).
 */
static void open_netns(struct request *request, const struct stat *own, char *state, size_t size) {
  const char *path = getenv("CNI_NETNS");
  if (path == NULL || *path == 0) {
    snprintf(state, size, "FLANNEL_NETNS=absent");
    return;
  }
  struct statfs filesystem;
  struct stat pod;
  int failed = 0;
  bool foreign = false;
  request->netns = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (request->netns < 0 || fstatfs(request->netns, &filesystem) != 0 || fstat(request->netns, &pod) != 0)
    failed = errno;
  else if (filesystem.f_type != NSFS_MAGIC && filesystem.f_type != PROC_SUPER_MAGIC)
    foreign = true;
  else
    failed = open_socket_in(request);
  if (request->netlink >= 0) {
    bool same = pod.st_dev == own->st_dev && pod.st_ino == own->st_ino;
    snprintf(state, size, "FLANNEL_NETNS=%s:%d", same ? "own" : "open", request->netns);
    return;
  }
  if (request->netns >= 0) close(request->netns);
  request->netns = -1;
  if (foreign || failed == EINVAL)
    snprintf(state, size, "FLANNEL_NETNS=foreign");
  else if (failed == ENOENT || failed == ENOTDIR)
    snprintf(state, size, "FLANNEL_NETNS=missing");
  else
    snprintf(state, size, "FLANNEL_NETNS=error:%d", failed);
}

static int append_namespace(struct request *request, size_t *size, const char *name, const struct stat *own) {
  char line[64];
  snprintf(line, sizeof line, "%s=%ju:%ju", name, (uintmax_t)own->st_dev, (uintmax_t)own->st_ino);
  return append(request, size, line);
}

static int append_variables(struct request *request, size_t *size) {
  char line[64];
  struct stat own = {0};
  int failed = 0;
  for (char **variable = environ; *variable != NULL && failed == 0; variable++)
    if (strncmp(*variable, "CNI_", 4) == 0) failed = append(request, size, *variable);
  if (failed != 0) return failed;
  bool known = request->home >= 0 && fstat(request->home, &own) == 0;
  open_netns(request, &own, line, sizeof line);
  if ((failed = append(request, size, line)) != 0) return failed;
  if (known && (failed = append_namespace(request, size, "FLANNEL_OWN_NETNS", &own)) != 0) return failed;
  known = stat("/proc/self/ns/mnt", &own) == 0;
  if (known && (failed = append_namespace(request, size, "FLANNEL_OWN_MNTNS", &own)) != 0) return failed;
  return append(request, size, "");
}

/* Someone who tries the program by hand, without a verb or at a terminal, gets an answer and no waiting for input. */
static bool has_input(void) {
  const char *command = getenv("CNI_COMMAND");
  return command != NULL && *command != 0 && !isatty(STDIN_FILENO);
}

static int append_input(struct request *request, size_t *size) {
  if (!has_input()) return 0;
  for (;;) {
    int failed = reserve(request, size, 16 * 1024);
    if (failed != 0) return failed;
    ssize_t got = read(STDIN_FILENO, request->frame + request->length, *size - request->length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -errno;
    if (got == 0) return 0;
    request->length += (size_t)got;
    if (request->length > FRAME_HEADER + MAX_PAYLOAD) return -EFBIG;
  }
}

int request_collect(struct request *request) {
  size_t size = 64 * 1024;
  *request = (struct request){.frame = malloc(size), .length = FRAME_HEADER, .netns = -1, .netlink = -1};
  if (request->frame == NULL) return -ENOMEM;
  request->home = netns_home();
  request->claim = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  if (request->claim < 0) return -errno;
  int failed = append_variables(request, &size);
  if (failed != 0) return failed;
  request->input = request->length;
  failed = append_input(request, &size);
  put_u32(request->frame, REQUEST);
  put_u32(request->frame + 4, (uint32_t)(request->length - FRAME_HEADER));
  return failed;
}
