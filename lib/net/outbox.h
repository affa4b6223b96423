/* SPDX-License-Identifier: ISC */
/* outbox - what we have written and the kernel has not taken yet. Its size is the writer's affair. */
#ifndef LIB_NET_OUTBOX_H
#define LIB_NET_OUTBOX_H

#include "lib/util/str.h"

struct outbox {
	char  *p;
	size_t cap;
	size_t at, n; /* p[at] to p[at + n] waits */
};

void outbox_add(struct outbox *b, struct str octets);
void outbox_take(struct outbox *b, size_t n); /* the last octet gone: the memory too */
void outbox_free(struct outbox *b);

#endif
