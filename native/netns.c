#define _GNU_SOURCE
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int netns_enter(int netns, int *home) {
  *home = -1;
  if (netns < 0) return 0;
  *home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (*home < 0) return -errno;
  if (setns(netns, CLONE_NEWNET) == 0) return 0;
  int failed = -errno;
  close(*home);
  *home = -1;
  return failed;
}

void netns_leave(int home) {
  if (home < 0) return;
  if (setns(home, CLONE_NEWNET) != 0) {
    perror("flannelette: setns back to the own network namespace");
    abort();
  }
  close(home);
}

static int open_netlink(int protocol) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
  if (fd < 0) return -errno;
  /* Kernels without one of them answer less precisely; nothing here depends on them. */
  static const int options[] = {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK};
  const int on = 1;
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    (void)setsockopt(fd, SOL_NETLINK, options[i], &on, sizeof on);
  struct sockaddr_nl address = {.nl_family = AF_NETLINK};
  if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  int failed = -errno;
  close(fd);
  return failed;
}

int netns_open_netlink(int netns, int protocol) {
  int home;
  int result = netns_enter(netns, &home);
  if (result < 0) return result;
  result = open_netlink(protocol);
  netns_leave(home);
  return result;
}

int netns_open_datagram(int netns, int family) {
  int home;
  int result = netns_enter(netns, &home);
  if (result < 0) return result;
  int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  result = fd < 0 ? -errno : fd;
  netns_leave(home);
  return result;
}

/* A sysctl takes its value in one write(2) from offset 0, so a short write is an error. */
int netns_write_here(int directory, const char *path, const void *data, size_t length) {
  int fd = openat(directory, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return -errno;
  ssize_t written = write(fd, data, length);
  int result = written < 0 ? -errno : (size_t)written == length ? 0 : -EIO;
  close(fd);
  return result;
}

int netns_write(int netns, const char *path, const void *data, size_t length) {
  int home;
  int result = netns_enter(netns, &home);
  if (result < 0) return result;
  result = netns_write_here(AT_FDCWD, path, data, length);
  netns_leave(home);
  return result;
}
