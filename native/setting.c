#include "setting.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int setting_write(int fd, const char *value) {
  ssize_t length = (ssize_t)strlen(value), written = pwrite(fd, value, (size_t)length, 0);
  return written < 0 ? -errno : written == length ? 0 : -EIO;
}
