#ifndef SYSCTLS_H
#define SYSCTLS_H

/* Where the settings of links are: a directory of /proc/sys, open. To find it takes longer the more pods there are. */
struct sysctl_directory {
  char path[64]; /* empty: none */
  int fd;
};

/* A setting that is to be again what it was. */
struct held_sysctl {
  char path[128]; /* empty: none */
  char before[64];
};

/*
 * Writes a sysctl of the namespace where this thread is; `path` is relative to /proc/sys and must be below net/. `directory`
 * is kept for the next one in the same namespace. Answers 0 or -errno, -EACCES for another path.
 */
int sysctl_write(struct sysctl_directory *directory, const char *path, const char *value);
void sysctl_directory_close(struct sysctl_directory *directory);

/*
 * The same until sysctl_release, which must come from the same namespace; -EBUSY while another one is held, -EOVERFLOW where
 * what is there is too long to be held.
 */
int sysctl_hold(struct sysctl_directory *directory, const char *path, const char *value, struct held_sysctl *held);
/* Answers 0 when nothing is held. */
int sysctl_release(struct sysctl_directory *directory, struct held_sysctl *held);

#endif
