#define _GNU_SOURCE
#include "sysctls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "setting.h"

/* The daemon may be less privileged than the launcher: it gets network settings written, and nothing else. */
static bool allowed(const char *path) {
  if (strncmp(path, "net/", 4) != 0) return false;
  for (const char *part = path; part != NULL; part = strchr(part, '/')) {
    if (*part == '/') part++;
    size_t length = strcspn(part, "/");
    if (length == 0 || (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.')) return false;
  }
  return true;
}

void sysctl_directory_close(struct sysctl_directory *directory) {
  if (directory->path[0] != 0) close(directory->fd);
  directory->path[0] = 0;
}

/* The open directory that a link's settings are below (`net/ipv6/conf` of `net/ipv6/conf/eth0/accept_ra`), and the rest of the path. */
static int find(struct sysctl_directory *directory, const char *path, const char **rest) {
  static const char *const known[] = {"net/ipv4/conf/", "net/ipv6/conf/"};
  char whole[sizeof "/proc/sys/" + sizeof directory->path] = "/proc/sys/";
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    size_t length = strlen(known[i]);
    if (strncmp(path, known[i], length) != 0) continue;
    *rest = path + length;
    if (strcmp(directory->path, known[i]) == 0) return directory->fd;
    sysctl_directory_close(directory);
    strcat(whole, known[i]);
    directory->fd = open(whole, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory->fd < 0) return -errno;
    strcpy(directory->path, known[i]);
    return directory->fd;
  }
  *rest = path;
  return AT_FDCWD;
}

/* Opens the setting; answers a descriptor or -errno. */
static int open_setting(struct sysctl_directory *directory, const char *path, int flags) {
  char whole[PATH_MAX];
  const char *rest;
  if (!allowed(path)) return -EACCES;
  int fd = find(directory, path, &rest);
  if (fd < 0 && fd != AT_FDCWD) return fd;
  const char *before = fd == AT_FDCWD ? "/proc/sys/" : "";
  if (snprintf(whole, sizeof whole, "%s%s", before, rest) >= PATH_MAX) return -ENAMETOOLONG;
  fd = openat(fd, whole, flags | O_CLOEXEC | O_NOFOLLOW);
  return fd < 0 ? -errno : fd;
}

int sysctl_write(struct sysctl_directory *directory, const char *path, const char *value) {
  int fd = open_setting(directory, path, O_WRONLY);
  if (fd < 0) return fd;
  int result = setting_write(fd, value);
  close(fd);
  return result;
}

int sysctl_exchange(struct sysctl_directory *directory, const char *path, const char *before, const char *value) {
  char found[16];
  int fd = open_setting(directory, path, O_RDWR);
  if (fd < 0) return fd;
  ssize_t length = read(fd, found, sizeof found);
  bool same = length == (ssize_t)strlen(before) + 1 && memcmp(found, before, strlen(before)) == 0;
  int result = length < 0 ? -errno : same ? setting_write(fd, value) : 0;
  close(fd);
  return result == 0 ? same : result;
}
