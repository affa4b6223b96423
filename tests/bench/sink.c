/* SPDX-License-Identifier: ISC */
/*
 * sink - takes mail and stores nothing: the ceiling, and the far end of a relay.
 *
 *     sink -l 127.0.0.2:2526 [-m 10000] [-p]
 *
 * Ends after -m messages, printing the seconds between the first and the last
 * and how many connections there were; -p offers PIPELINING.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct session {
	int    fd;
	bool   data, listener;
	size_t n;
	char   in[65536];
	char   out[16384];
	size_t out_n;
};

static int      poller;
static unsigned messages, wanted, connections;
static bool     pipelining;
static double   first, last;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
say(struct session *s, const char *text)
{
	size_t n = strlen(text);

	if (s->out_n + n <= sizeof s->out) {
		memcpy(s->out + s->out_n, text, n);
		s->out_n += n;
	}
}

static void
flush(struct session *s)
{
	if (s->out_n > 0)
		(void)!send(s->fd, s->out, s->out_n, MSG_NOSIGNAL);
	s->out_n = 0;
}

static void
finish(void)
{
	printf("{\"messages\":%u,\"connections\":%u,\"seconds\":%.4f,\"first\":%.6f,\"last\":%.6f}\n", messages, connections, last - first, first, last);
	exit(0);
}

static bool
command(struct session *s, const char *line)
{
	switch (line[0] & ~0x20) {
	case 'E':
		say(s, pipelining ? "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 60000000\r\n" : "250-sink.example\r\n250 8BITMIME\r\n");
		break;
	case 'D':
		say(s, "354 go\r\n");
		s->data = true;
		break;
	case 'Q':
		say(s, "221 bye\r\n");
		flush(s);
		return false;
	default:
		say(s, "250 ok\r\n");
	}
	return true;
}

/* Consume what has come; false ends the session. */
static bool
consume(struct session *s)
{
	char *at = s->in, *end = s->in + s->n;

	for (;;) {
		char *stop = memmem(at, (size_t)(end - at), s->data ? "\r\n.\r\n" : "\r\n", s->data ? 5 : 2);

		if (stop == NULL)
			break;
		if (s->data) {
			s->data = false;
			last = now();
			if (messages++ == 0)
				first = last;
			say(s, "250 2.0.0 gone\r\n");
			at = stop + 5;
			if (messages == wanted) {
				flush(s);
				finish();
			}
		} else {
			if (!command(s, at))
				return false;
			/* An empty body's dot may directly follow: keep the CRLF for the search. */
			at = s->data ? stop : stop + 2;
		}
	}
	if (s->data && end - at > 4)
		at = end - 4;
	s->n = (size_t)(end - at);
	memmove(s->in, at, s->n);
	flush(s);
	return true;
}

static void
serve(struct session *s)
{
	ssize_t n = recv(s->fd, s->in + s->n, sizeof s->in - s->n, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		s->n += (size_t)n;
		if (consume(s))
			return;
	}
	close(s->fd);
	free(s);
}

static void
take(struct session *on)
{
	for (;;) {
		int one = 1, fd = accept4(on->fd, NULL, NULL, SOCK_NONBLOCK);
		struct session *s;
		struct epoll_event e = {.events = EPOLLIN};

		if (fd < 0)
			return;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		if ((s = calloc(1, sizeof *s)) == NULL)
			exit(1);
		s->fd = fd;
		e.data.ptr = s;
		connections++;
		epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
		say(s, "220 sink.example ESMTP\r\n");
		flush(s);
	}
}

static int
open_listener(char *at)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	char *colon = strchr(at, ':');
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (colon == NULL)
		exit(2);
	*colon = '\0';
	to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (inet_pton(AF_INET, at, &to.sin_addr) != 1 || bind(fd, (struct sockaddr *)&to, sizeof to) != 0 || listen(fd, 4096) != 0) {
		perror("sink");
		exit(1);
	}
	return fd;
}

int
main(int argc, char **argv)
{
	struct epoll_event events[256], e = {.events = EPOLLIN};
	struct session *on = calloc(1, sizeof *on);
	int c;

	if (on == NULL)
		exit(1);
	while ((c = getopt(argc, argv, "l:m:p")) != -1) {
		if (c == 'l')
			on->fd = open_listener(optarg);
		else if (c == 'm')
			wanted = (unsigned)strtoul(optarg, NULL, 10);
		else
			pipelining = true;
	}
	on->listener = true;
	poller = epoll_create1(0);
	e.data.ptr = on;
	epoll_ctl(poller, EPOLL_CTL_ADD, on->fd, &e);
	for (;;) {
		int n = epoll_wait(poller, events, 256, -1);

		for (int i = 0; i < n; i++) {
			struct session *s = events[i].data.ptr;

			if (s->listener)
				take(s);
			else
				serve(s);
		}
	}
}
