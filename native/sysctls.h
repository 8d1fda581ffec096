#ifndef SYSCTLS_H
#define SYSCTLS_H

/* Where the settings of links are: a directory of /proc/sys, open. To find it takes longer the more pods there are. */
struct sysctl_directory {
  char path[64]; /* empty: none */
  int fd;
};

/*
 * Writes a sysctl of the namespace where this thread is; `path` is relative to /proc/sys and must be below net/. `directory`
 * is kept for the next one in the same namespace. Answers 0 or -errno, -EACCES for another path.
 */
int sysctl_write(struct sysctl_directory *directory, const char *path, const char *value);
void sysctl_directory_close(struct sysctl_directory *directory);

/* The same where there is `before`, which has a line feed behind it there. Answers 1 when that was so, 0 for another value, or -errno. */
int sysctl_exchange(struct sysctl_directory *directory, const char *path, const char *before, const char *value);

#endif
