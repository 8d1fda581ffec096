#ifndef NEW_NETNS_H
#define NEW_NETNS_H

/* Binding.createNetns: a network namespace that lives on as a bind mount over the file `path`. Answers 0 or -errno. */
int new_netns(const char *path);

#endif
