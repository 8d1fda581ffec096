/* The addon: one C function for each call of the interface Binding in binding.ts, where each is described. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "arguments.h"
#include "netns.h"
#include "new_netns.h"
#include "setting.h"
#include "threaded_send.h"
#include "watch.h"

/* SCM_MAX_FD of the kernel's include/net/scm.h: as many descriptors as one message can carry. */
enum { MAX_DESCRIPTORS = 253, BACKLOG = 128 };

/* Signals reach the event loop by a handler, so any call that waits can be interrupted: it goes on waiting. */
#define UNINTERRUPTED(call)              \
  ({                                     \
    __typeof__(call) value;              \
    do value = (call);                   \
    while (value < 0 && errno == EINTR); \
    value < 0 ? -errno : value;          \
  })

static napi_value open_netlink(napi_env env, napi_callback_info info) {
  int protocol, netns;
  if (!read_arguments(env, info, "ii", &protocol, &netns)) return NULL;
  return answer(env, netns_open_netlink(netns, protocol));
}

static napi_value send_bytes(napi_env env, napi_callback_info info) {
  int fd;
  struct bytes bytes;
  if (!read_arguments(env, info, "ib", &fd, &bytes)) return NULL;
  return answer(env, UNINTERRUPTED(send(fd, bytes.data, bytes.length, MSG_NOSIGNAL)));
}

static ssize_t receive_datagram(int fd, struct bytes buffer) {
  for (;;) {
    struct sockaddr_nl sender = {0};
    struct iovec iov = {buffer.data, buffer.length};
    struct msghdr message = {.msg_name = &sender, .msg_namelen = sizeof sender, .msg_iov = &iov, .msg_iovlen = 1};
    ssize_t length = UNINTERRUPTED(recvmsg(fd, &message, 0));
    if (length < 0) return length;
    /* Any process may send to a netlink port; only port 0 is the kernel. */
    if (message.msg_namelen == sizeof sender && sender.nl_family == AF_NETLINK && sender.nl_pid != 0) continue;
    return (message.msg_flags & MSG_TRUNC) != 0 ? -EMSGSIZE : length;
  }
}

static napi_value receive(napi_env env, napi_callback_info info) {
  int fd;
  struct bytes buffer;
  if (!read_arguments(env, info, "ib", &fd, &buffer)) return NULL;
  return answer(env, receive_datagram(fd, buffer));
}

/* How many datagrams are read by one recvmmsg(2). */
enum { DATAGRAMS = 32 };

/*
 * What is there, packed: each datagram begins at a multiple of four, as messages do inside a datagram. An error that
 * comes behind some of them is kept by the kernel for the next call.
 */
static ssize_t receive_datagrams(int fd, struct bytes buffer) {
  struct sockaddr_nl senders[DATAGRAMS] = {0};
  struct iovec iov[DATAGRAMS];
  struct mmsghdr messages[DATAGRAMS] = {0};
  size_t slot = buffer.length / DATAGRAMS & ~(size_t)3, length = 0;
  for (size_t i = 0; i < DATAGRAMS; i++) {
    iov[i] = (struct iovec){(char *)buffer.data + i * slot, slot};
    messages[i].msg_hdr = (struct msghdr){
        .msg_name = &senders[i], .msg_namelen = sizeof senders[i], .msg_iov = &iov[i], .msg_iovlen = 1};
  }
  int count = UNINTERRUPTED(recvmmsg(fd, messages, DATAGRAMS, MSG_DONTWAIT, NULL));
  if (count < 0) return count;
  for (int i = 0; i < count; i++) {
    if (senders[i].nl_family == AF_NETLINK && senders[i].nl_pid != 0) continue;
    if ((messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0) return -EMSGSIZE;
    size_t received = messages[i].msg_len, padded = (received + 3) & ~(size_t)3;
    memmove((char *)buffer.data + length, iov[i].iov_base, received);
    memset((char *)buffer.data + length + received, 0, padded - received);
    length += padded;
  }
  return (ssize_t)length;
}

static napi_value receive_many(napi_env env, napi_callback_info info) {
  int fd;
  struct bytes buffer;
  if (!read_arguments(env, info, "ib", &fd, &buffer)) return NULL;
  return answer(env, receive_datagrams(fd, buffer));
}

static napi_value open_datagram(napi_env env, napi_callback_info info) {
  int family, netns;
  if (!read_arguments(env, info, "ii", &family, &netns)) return NULL;
  return answer(env, netns_open_datagram(netns, family));
}

static napi_value get_option(napi_env env, napi_callback_info info) {
  int fd, level, name;
  struct bytes buffer;
  if (!read_arguments(env, info, "iiib", &fd, &level, &name, &buffer)) return NULL;
  socklen_t length = (socklen_t)buffer.length;
  return answer(env, getsockopt(fd, level, name, buffer.data, &length) == 0 ? (int64_t)length : -errno);
}

static napi_value set_option(napi_env env, napi_callback_info info) {
  int fd, level, name, value;
  if (!read_arguments(env, info, "iiii", &fd, &level, &name, &value)) return NULL;
  return answer(env, setsockopt(fd, level, name, &value, sizeof value) == 0 ? 0 : -errno);
}

/* if_nametoindex(3) in the namespace of a socket of any family. */
static napi_value interface_index(napi_env env, napi_callback_info info) {
  int fd;
  struct text name;
  struct ifreq request = {0};
  if (!read_arguments(env, info, "is", &fd, &name)) return NULL;
  if (name.length >= sizeof request.ifr_name) return answer(env, -ENODEV);
  memcpy(request.ifr_name, name.chars, name.length);
  return answer(env, ioctl(fd, SIOCGIFINDEX, &request) == 0 ? request.ifr_ifindex : -errno);
}

static int64_t milliseconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int wait_readable(int fd, int milliseconds) {
  struct pollfd waited = {.fd = fd, .events = POLLIN};
  int64_t deadline = milliseconds_now() + milliseconds;
  int ready;
  while ((ready = poll(&waited, 1, milliseconds)) < 0 && errno == EINTR)
    if (milliseconds >= 0) milliseconds = deadline > milliseconds_now() ? (int)(deadline - milliseconds_now()) : 0;
  if (ready < 0) return -errno;
  return (waited.revents & POLLNVAL) != 0 ? -EBADF : ready;
}

static napi_value poll_readable(napi_env env, napi_callback_info info) {
  int fd, milliseconds;
  if (!read_arguments(env, info, "ii", &fd, &milliseconds)) return NULL;
  return answer(env, wait_readable(fd, milliseconds));
}

/* A unix socket bound or connected (`attach`) to `path`, or -errno. */
static int unix_socket(const struct text *path, mode_t mode, int (*attach)(int, const struct sockaddr *, socklen_t)) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path->length >= sizeof address.sun_path) return -ENAMETOOLONG;
  memcpy(address.sun_path, path->chars, path->length + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  /* The file that bind(2) makes takes the socket's mode less the umask: never wider than asked, not for a moment. */
  if (fchmod(fd, mode) == 0 && attach(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  int failed = -errno;
  close(fd);
  return failed;
}

static napi_value listen_unix(napi_env env, napi_callback_info info) {
  struct text path;
  int mode;
  if (!read_arguments(env, info, "si", &path, &mode)) return NULL;
  int fd = unix_socket(&path, (mode_t)mode, bind);
  if (fd < 0) return answer(env, fd);
  if (chmod(path.chars, (mode_t)mode) == 0 && listen(fd, BACKLOG) == 0) return answer(env, fd);
  int failed = -errno;
  unlink(path.chars);
  close(fd);
  return answer(env, failed);
}

static napi_value accept_unix(napi_env env, napi_callback_info info) {
  int fd;
  if (!read_arguments(env, info, "i", &fd)) return NULL;
  return answer(env, UNINTERRUPTED(accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)));
}

static napi_value connect_unix(napi_env env, napi_callback_info info) {
  struct text path;
  if (!read_arguments(env, info, "s", &path)) return NULL;
  return answer(env, unix_socket(&path, 0600, connect));
}

/* An address may begin with @ for a name in the abstract namespace, as systemd writes it. */
static ssize_t send_to_unix(const struct text *path, struct bytes bytes) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path->length >= sizeof address.sun_path) return -ENAMETOOLONG;
  memcpy(address.sun_path, path->chars, path->length);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path->length);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  ssize_t sent = UNINTERRUPTED(
      sendto(fd, bytes.data, bytes.length, MSG_NOSIGNAL, (struct sockaddr *)&address, length));
  close(fd);
  return sent;
}

static napi_value send_unix_datagram(napi_env env, napi_callback_info info) {
  struct text path;
  struct bytes bytes;
  if (!read_arguments(env, info, "sb", &path, &bytes)) return NULL;
  return answer(env, send_to_unix(&path, bytes));
}

static napi_value array_of(napi_env env, const int64_t *values, size_t count) {
  napi_value array;
  if (napi_create_array_with_length(env, count, &array) != napi_ok) return NULL;
  for (size_t i = 0; i < count; i++) napi_set_element(env, array, (uint32_t)i, answer(env, values[i]));
  return array;
}

static napi_value peer_credentials(napi_env env, napi_callback_info info) {
  int fd;
  if (!read_arguments(env, info, "i", &fd)) return NULL;
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return answer(env, -errno);
  return array_of(env, (int64_t[]){peer.pid, peer.uid, peer.gid}, 3);
}

/* Room for the descriptors of one message, aligned as the CMSG_ macros need it. */
union control {
  struct cmsghdr header;
  char space[CMSG_SPACE(MAX_DESCRIPTORS * sizeof(int))];
};

/* Reads an array of numbers; the count, or -1 when something else is in it. */
static int read_descriptors(napi_env env, napi_value array, int *into) {
  uint32_t count;
  if (napi_get_array_length(env, array, &count) != napi_ok || count > MAX_DESCRIPTORS) return -1;
  for (uint32_t i = 0; i < count; i++) {
    napi_value value;
    if (napi_get_element(env, array, i, &value) != napi_ok) return -1;
    if (napi_get_value_int32(env, value, &into[i]) != napi_ok) return -1;
  }
  return (int)count;
}

static napi_value send_descriptors(napi_env env, napi_callback_info info) {
  int fd, descriptors[MAX_DESCRIPTORS];
  struct bytes bytes;
  napi_value array;
  if (!read_arguments(env, info, "iba", &fd, &bytes, &array)) return NULL;
  int count = read_descriptors(env, array, descriptors);
  if (count < 0) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "argument 3 must be an array of at most 253 numbers");
    return NULL;
  }
  union control control = {0};
  struct iovec iov = {bytes.data, bytes.length};
  struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
    memcpy(CMSG_DATA(&control.header), descriptors, (size_t)count * sizeof(int));
  }
  return answer(env, UNINTERRUPTED(sendmsg(fd, &message, MSG_NOSIGNAL)));
}

static size_t collect_descriptors(struct msghdr *message, int64_t *into) {
  size_t count = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const int *passed = (const int *)CMSG_DATA(header);
    size_t carried = (header->cmsg_len - CMSG_LEN(0)) / sizeof *passed;
    for (size_t i = 0; i < carried; i++) into[count++] = passed[i];
  }
  return count;
}

static napi_value receive_descriptors(napi_env env, napi_callback_info info) {
  int fd;
  int64_t descriptors[MAX_DESCRIPTORS];
  struct bytes buffer;
  if (!read_arguments(env, info, "ib", &fd, &buffer)) return NULL;
  union control control = {0};
  struct iovec iov = {buffer.data, buffer.length};
  struct msghdr message = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t length = UNINTERRUPTED(recvmsg(fd, &message, MSG_CMSG_CLOEXEC));
  if (length < 0) return answer(env, length);
  size_t count = collect_descriptors(&message, descriptors);
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    /* There was room for all that can come, so this process ran out of descriptors: none is better than some. */
    while (count > 0) close((int)descriptors[--count]);
    return answer(env, -EMFILE);
  }
  napi_value received;
  if (napi_create_object(env, &received) != napi_ok) return NULL;
  napi_set_named_property(env, received, "length", answer(env, length));
  napi_set_named_property(env, received, "descriptors", array_of(env, descriptors, count));
  return received;
}

static napi_value lock_file(napi_env env, napi_callback_info info) {
  int fd, operation;
  if (!read_arguments(env, info, "ii", &fd, &operation)) return NULL;
  return answer(env, UNINTERRUPTED(flock(fd, operation)));
}

static napi_value filesystem_type(napi_env env, napi_callback_info info) {
  int fd;
  if (!read_arguments(env, info, "i", &fd)) return NULL;
  struct statfs filesystem;
  return answer(env, fstatfs(fd, &filesystem) == 0 ? (int64_t)filesystem.f_type : (int64_t)-errno);
}

static napi_value write_in_netns(napi_env env, napi_callback_info info) {
  int netns;
  struct text path, value;
  if (!read_arguments(env, info, "iss", &netns, &path, &value)) return NULL;
  int fd = netns_open_setting(netns, path.chars);
  if (fd < 0) return answer(env, fd);
  int result = setting_write(fd, value.chars);
  close(fd);
  return answer(env, result);
}

static napi_value create_netns(napi_env env, napi_callback_info info) {
  struct text path;
  if (!read_arguments(env, info, "s", &path)) return NULL;
  return answer(env, new_netns(path.chars));
}

static napi_value current_cpu(napi_env env, napi_callback_info info) {
  (void)info;
  int cpu = sched_getcpu();
  return answer(env, cpu < 0 ? -errno : cpu);
}

static napi_value close_descriptor(napi_env env, napi_callback_info info) {
  int fd;
  if (!read_arguments(env, info, "i", &fd)) return NULL;
  watch_end(fd);
  return answer(env, close(fd) == 0 ? 0 : -errno);
}

static const struct {
  const char *name;
  napi_callback call;
} calls[] = {
    {"openNetlink", open_netlink},
    {"send", send_bytes},
    {"receive", receive},
    {"receiveMany", receive_many},
    {"openDatagram", open_datagram},
    {"getOption", get_option},
    {"setOption", set_option},
    {"interfaceIndex", interface_index},
    {"poll", poll_readable},
    {"watch", watch},
    {"unwatch", unwatch},
    {"sendThreaded", send_threaded},
    {"listenUnix", listen_unix},
    {"acceptUnix", accept_unix},
    {"connectUnix", connect_unix},
    {"sendUnixDatagram", send_unix_datagram},
    {"peerCredentials", peer_credentials},
    {"sendDescriptors", send_descriptors},
    {"receiveDescriptors", receive_descriptors},
    {"flock", lock_file},
    {"filesystemType", filesystem_type},
    {"writeInNetns", write_in_netns},
    {"createNetns", create_netns},
    {"cpu", current_cpu},
    {"close", close_descriptor},
};

NAPI_MODULE_INIT() {
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    napi_value function;
    if (napi_create_function(env, calls[i].name, NAPI_AUTO_LENGTH, calls[i].call, NULL, &function) != napi_ok) return NULL;
    if (napi_set_named_property(env, exports, calls[i].name, function) != napi_ok) return NULL;
  }
  return exports;
}
