/* Work inside another network namespace. Shared by the addon and the launcher; every call answers >= 0 or -errno. */
#ifndef NETNS_H
#define NETNS_H

/*
 * A non-blocking, close-on-exec, bound AF_NETLINK socket in the network namespace `netns` (-1: this
 * thread's own). It stays in that namespace wherever it is used or passed to, and its answers are as precise as the
 * kernel can make them: with words, without an echo, and for strict dumps.
 */
int netns_open_netlink(int netns, int protocol);
int netns_open_netlink_here(int protocol);

/* The same for an unbound datagram socket of `family`, AF_INET or AF_INET6. */
int netns_open_datagram(int netns, int family);

/* The same for the sysctl file `path`, to be written: it stays the setting of that namespace too. */
int netns_open_setting(int netns, const char *path);

/* A descriptor of the namespace where this thread is. */
int netns_home(void);

/* Moves this thread into `netns`. Answers 0. */
int netns_enter(int netns);

/* Moves it back. A thread that cannot would configure the wrong host: the process is ended. */
void netns_return(int home);

#endif
