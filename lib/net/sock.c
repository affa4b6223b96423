/* SPDX-License-Identifier: ISC */
#include "lib/net/sock.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ERROR_MAX = 256, WRITE_MAX = 1 << 20 };

static void
set_error(struct sock *c, const char *what, const char *why)
{
	struct buf text = BUF(ERROR_MAX);

	if (c->error != NULL)
		return;
	buf_addz(&text, what);
	buf_addz(&text, why);
	c->error = str_dup(buf_str(&text));
	buf_free(&text);
}

void
sock_set_nodelay(int fd)
{
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

/* "Connection refused" begins a sentence; ours is the end of one. */
void
sock_fail(struct sock *c, int error)
{
	set_error(c, "", strerror(error));
	if (isupper((unsigned char)c->error[0]) && islower((unsigned char)c->error[1]))
		c->error[0] = (char)tolower((unsigned char)c->error[0]);
}

static ssize_t
plain_result(struct sock *c, ssize_t got, int want)
{
	if (got >= 0)
		return got;
	if (errno == EAGAIN || errno == EINTR)
		return want;
	sock_fail(c, errno);
	return IO_BROKEN;
}

/* What OpenSSL's -1 means. The error queue was empty before the call. */
static int
tls_result(struct sock *c, int result, int system_error)
{
	switch (SSL_get_error(c->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return IO_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return IO_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return IO_END;
	case SSL_ERROR_SYSCALL:
		if (system_error == 0)
			return IO_END;
		sock_fail(c, system_error);
		return IO_BROKEN;
	default:
		set_error(c, "TLS: ", ssl_reason());
		return IO_BROKEN;
	}
}

/*
 * All that is there: a record that stays inside OpenSSL wakes nobody. So does an
 * end or error that came behind data: it is kept for the next call.
 */
static ssize_t
tls_read(struct sock *c, char *to, size_t n)
{
	size_t all = 0, got = 0;
	int    result = 1;

	if (c->last != LAST_NONE)
		return c->last == LAST_END ? IO_END : IO_BROKEN;
	ERR_clear_error();
	errno = 0;
	while (all < n && (result = SSL_read_ex(c->ssl, to + all, n - all, &got)) == 1)
		all += got;
	c->more = true;
	if (result == 1)
		return (ssize_t)all;
	result = tls_result(c, result, errno);
	if (result == IO_END || result == IO_BROKEN)
		c->last = result == IO_END ? LAST_END : LAST_BROKEN;
	else
		c->more = false;
	return all > 0 ? (ssize_t)all : result;
}

ssize_t
sock_read(struct sock *c, char *to, size_t n)
{
	if (c->ssl != NULL)
		return tls_read(c, to, n);
	return plain_result(c, recv(c->fd, to, n, 0), IO_WANT_READ);
}

ssize_t
sock_write(struct sock *c, const char *from, size_t n)
{
	size_t put = 0;
	int    result;

	if (c->ssl == NULL)
		return plain_result(c, send(c->fd, from, n, MSG_NOSIGNAL), IO_WANT_WRITE);
	ERR_clear_error();
	errno = 0;
	result = SSL_write_ex(c->ssl, from, n < WRITE_MAX ? n : WRITE_MAX, &put);
	if (result == 1)
		return (ssize_t)put;
	result = tls_result(c, result, errno);
	if (result == IO_END) {
		sock_fail(c, EPIPE);
		return IO_BROKEN;
	}
	return result;
}

void
sock_secure(struct sock *c, SSL *ssl)
{
	c->ssl = ssl;
	if (SSL_set_fd(ssl, c->fd) != 1)
		abort();
}

static void
note(struct sock *c)
{
	c->info.version = SSL_version(c->ssl) == TLS1_3_VERSION ? "1.3" : "1.2";
	c->info.cipher = SSL_get_cipher_name(c->ssl);
	c->info.bits = (unsigned)SSL_get_cipher_bits(c->ssl, NULL);
	if (SSL_is_server(c->ssl))
		return;
	c->info.why = tls_client_doubt(c->ssl);
	c->info.verified = c->info.why == NULL;
}

int
sock_handshake(struct sock *c)
{
	int result;

	ERR_clear_error();
	errno = 0;
	result = SSL_do_handshake(c->ssl);
	if (result == 1) {
		c->secure = true;
		c->more = true; /* the first data may have come with the last flight */
		note(c);
		return 1;
	}
	result = tls_result(c, result, errno);
	if (result != IO_END)
		return result;
	set_error(c, "TLS: ", "the peer closed the connection during the handshake");
	return IO_BROKEN;
}

/* Without it OpenSSL would not let the session be resumed, and a strict peer would see a cut. */
static void
say_goodbye(struct sock *c)
{
	if (c->ssl == NULL || !c->secure || c->error != NULL ||
	    (SSL_get_shutdown(c->ssl) & SSL_SENT_SHUTDOWN))
		return;
	ERR_clear_error();
	SSL_shutdown(c->ssl);
	ERR_clear_error();
}

void
sock_end(struct sock *c)
{
	say_goodbye(c);
	shutdown(c->fd, SHUT_WR);
}

void
sock_close(struct sock *c)
{
	say_goodbye(c);
	SSL_free(c->ssl);
	if (c->fd >= 0)
		close(c->fd);
	free(c->error);
	*c = (struct sock){.fd = -1};
}
