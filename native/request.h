/* What the container runtime asked for, as it is handed on to flanneld or to the stand-alone program. */
#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request {
  uint8_t *frame; /* the whole REQUEST frame: header, variables, standard input */
  size_t length;
  size_t input;   /* where standard input begins */
  int home;       /* this process's own network namespace, or -errno */
  int netns;      /* the pod's network namespace, -1 when it could not be opened */
  int netlink;    /* a NETLINK_ROUTE socket that was created inside it, -1 the same */
  int claim;      /* an eventfd that holds 1: whoever reads it first decides what becomes of the request */
};

/* Reads environment, standard input and the pod's namespace. Answers 0, or -errno (-EFBIG: more than 16 MiB). */
int request_collect(struct request *request);

#endif
