#ifndef SETTING_H
#define SETTING_H

/* Writes the sysctl that is open. It takes its value in one write(2) from offset 0, so a short write is -EIO. Answers 0 or -errno. */
int setting_write(int fd, const char *value);

#endif
