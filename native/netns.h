/* Work inside another network namespace. Shared by the addon and the launcher; every call answers >= 0 or -errno. */
#ifndef NETNS_H
#define NETNS_H

#include <stddef.h>

/*
 * A non-blocking, close-on-exec, bound AF_NETLINK socket in the network namespace `netns` (-1: this
 * thread's own). It stays in that namespace wherever it is used or passed to, and its answers are as precise as the
 * kernel can make them: with words, without an echo, and for strict dumps.
 */
int netns_open_netlink(int netns, int protocol);

/* The same for an unbound datagram socket of `family`, AF_INET or AF_INET6. */
int netns_open_datagram(int netns, int family);

/*
 * Moves this thread into `netns`, and puts what leads home into `home`; netns_leave goes back. A thread that
 * cannot would configure the wrong host: the process is ended.
 */
int netns_enter(int netns, int *home);
void netns_leave(int home);

/* Writes `data` to a sysctl file where this thread is; `path` as openat(2) takes it. Answers 0. */
int netns_write_here(int directory, const char *path, const void *data, size_t length);

/* Writes `data` to the sysctl file `path` as seen from inside `netns` (-1: this thread's own). Answers 0. */
int netns_write(int netns, const char *path, const void *data, size_t length);

#endif
