/* SPDX-License-Identifier: ISC */
/*
 * sock - octets in and out of one socket, plain or TLS, without waiting.
 *
 * This in place of libevent's bufferevents: those read at most 4 KiB at a time
 * and ask the kernel for the size before, touch epoll twice for each reply, and
 * need a second kind for TLS and a swap between the two under a live stream.
 */
#ifndef LIB_NET_SOCK_H
#define LIB_NET_SOCK_H

#include <sys/types.h>

#include "lib/net/ssl.h"

struct sock {
	int             fd;
	SSL            *ssl;    /* NULL: plain */
	bool            secure; /* the handshake is done */
	bool            more;   /* octets or the end may wait inside OpenSSL, where epoll does not see them */
	enum { LAST_NONE, LAST_END, LAST_BROKEN } last; /* TLS: how reading has ended */
	char           *error;                          /* NULL: not broken */
	struct tls_info info;
};

enum { IO_END = 0, IO_WANT_READ = -1, IO_WANT_WRITE = -2, IO_BROKEN = -3 };

/* As many as there are, up to `n`; or one of IO_*. */
ssize_t sock_read(struct sock *c, char *to, size_t n);
ssize_t sock_write(struct sock *c, const char *from, size_t n);

/* The SSL object becomes the connection's. Then sock_handshake() until it says 1 (or IO_BROKEN). */
void sock_secure(struct sock *c, SSL *ssl);
int  sock_handshake(struct sock *c);

/* Nagle's waiting for more is 40 ms a turn of the dialogue. No TCP socket: it does not matter. */
void sock_set_nodelay(int fd);

/* Break it for a reason of the system. */
void sock_fail(struct sock *c, int error);

void sock_end(struct sock *c); /* no more output: close_notify and FIN */
void sock_close(struct sock *c);

#endif
