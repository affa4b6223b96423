/* SPDX-License-Identifier: ISC */
/*
 * conn - octets in and out of one socket, plain or TLS, without waiting.
 *
 * bufferevents were tried on paper and left: they read at most 4 KiB at a time, ask the
 * kernel for the size first and touch epoll twice for each reply; and two kinds
 * of them behind one stream are more code than this.
 */
#ifndef LIB_NET_CONN_H
#define LIB_NET_CONN_H

#include <sys/types.h>

#include "lib/net/ssl.h"

struct conn {
	int             fd;
	SSL            *ssl;    /* NULL: plain */
	bool            secure; /* the handshake is done */
	bool            more;   /* octets may wait inside OpenSSL, where epoll does not see them */
	char           *error;  /* NULL: not broken */
	struct tls_info info;
};

enum { CONN_END = 0, CONN_WANT_READ = -1, CONN_WANT_WRITE = -2, CONN_BROKEN = -3 };

/* As many as there are, up to `n`; or one of CONN_*. */
ssize_t conn_read(struct conn *c, char *to, size_t n);
ssize_t conn_write(struct conn *c, const char *from, size_t n);

/* The SSL object becomes the connection's. Then conn_handshake() until it says 1 (or CONN_BROKEN). */
void conn_secure(struct conn *c, SSL *ssl);
int  conn_handshake(struct conn *c);

/* Break it for a reason of the system. */
void conn_fail(struct conn *c, int error);

void conn_end(struct conn *c); /* no more output: close_notify and FIN */
void conn_close(struct conn *c);

#endif
