/* SPDX-License-Identifier: ISC */
/*
 * load - submits messages over many sessions at once and prints one JSON line.
 *
 *     load -t 127.0.0.1:25 -s 100 -m 20000 -n 100 -l 4096 [-d 100] [-T] [-j 2]
 *
 * -s sessions, -m messages in all, -n messages a connection, -l octets a message,
 * -d recipient domains (d0.bench.example ...), -T STARTTLS with a new handshake
 * for each connection. The dialogue is the plain one without pipelining: what most
 * applications' libraries do. One process with one epoll is cheap beside the server, unless
 * it has handshakes to do: -j shares the sessions between that many.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum step { GREETING, EHLO, STARTTLS, EHLO_TLS, MAIL, RCPT, DATA, DOT, QUIT };

struct session {
	int        fd;
	uint32_t   watched; /* what epoll was told last */
	SSL       *ssl;
	enum step  step;
	bool       handshake;
	unsigned   sent_here; /* messages on this connection */
	double     began;
	char       in[4096];
	size_t     in_n;
	const char *out;
	size_t     out_n;
	char       line[256];
};

static struct {
	struct sockaddr_in to;
	unsigned sessions, messages, per_connection, size, domains, processes;
	bool     tls;
	const char *from;
} opt = {.sessions = 10, .messages = 1000, .per_connection = 1, .size = 4096, .domains = 1, .processes = 1, .from = "app@sender.example"};

static int      poller;
static SSL_CTX *tls_context;
static char    *body;
static size_t   body_n;
static unsigned started, done, failed, open_sessions;
static double  *latency;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
watch(struct session *s, int op)
{
	struct epoll_event e = {.events = EPOLLIN | (s->out_n > 0 || s->handshake ? EPOLLOUT : 0), .data.ptr = s};

	if (op == EPOLL_CTL_MOD && s->watched == e.events)
		return;
	s->watched = e.events;
	if (epoll_ctl(poller, op, s->fd, &e) != 0)
		die("epoll_ctl");
}

static void
dial(struct session *s)
{
	int one = 1;

	memset(s, 0, sizeof *s);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		die("socket");
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(s->fd, (struct sockaddr *)&opt.to, sizeof opt.to) != 0 && errno != EINPROGRESS)
		die("connect");
	watch(s, EPOLL_CTL_ADD);
}

static void
hang_up(struct session *s)
{
	SSL_free(s->ssl);
	close(s->fd);
	s->ssl = NULL;
	if (started < opt.messages)
		dial(s);
	else
		open_sessions--;
}

static void
flush(struct session *s)
{
	while (s->out_n > 0) {
		ssize_t n = s->ssl != NULL ? SSL_write(s->ssl, s->out, (int)s->out_n) : send(s->fd, s->out, s->out_n, MSG_NOSIGNAL);

		if (n <= 0)
			break;
		s->out += n;
		s->out_n -= (size_t)n;
	}
	watch(s, EPOLL_CTL_MOD);
}

static void
say(struct session *s, const char *text, size_t n)
{
	s->out = text;
	s->out_n = n;
	flush(s);
}

static void
say_line(struct session *s, const char *verb, const char *rest, unsigned number)
{
	int n = number == (unsigned)-1 ? snprintf(s->line, sizeof s->line, "%s%s\r\n", verb, rest)
	                               : snprintf(s->line, sizeof s->line, "%sr@d%u.bench.example>\r\n", verb, number);

	say(s, s->line, (size_t)n);
}

static void
handshake(struct session *s)
{
	int r = SSL_connect(s->ssl);

	if (r == 1) {
		s->handshake = false;
		s->step = EHLO_TLS;
		say_line(s, "EHLO ", "load.example", (unsigned)-1);
	} else if (SSL_get_error(s->ssl, r) != SSL_ERROR_WANT_READ && SSL_get_error(s->ssl, r) != SSL_ERROR_WANT_WRITE) {
		failed++;
		hang_up(s);
	} else {
		s->watched = 0;
		struct epoll_event e = {.events = SSL_get_error(s->ssl, r) == SSL_ERROR_WANT_WRITE ? EPOLLOUT : EPOLLIN, .data.ptr = s};

		epoll_ctl(poller, EPOLL_CTL_MOD, s->fd, &e);
	}
}

static void
next_message(struct session *s)
{
	if (started >= opt.messages || s->sent_here >= opt.per_connection) {
		s->step = QUIT;
		say_line(s, "QUIT", "", (unsigned)-1);
		return;
	}
	started++;
	s->sent_here++;
	s->began = now();
	s->step = MAIL;
	snprintf(s->line, sizeof s->line, "MAIL FROM:<%s>\r\n", opt.from);
	say(s, s->line, strlen(s->line));
}

static void
refused(struct session *s, const char *line)
{
	if (failed++ == 0)
		fprintf(stderr, "load: step %d: %s\n", s->step, line);
	if (s->step >= MAIL && s->step <= DOT)
		started--; /* it is tried again */
	hang_up(s);
	if (failed > 1000)
		exit(1);
}

/* One whole reply has come. */
static void
replied(struct session *s, const char *line)
{
	static const char want[] = {[GREETING] = '2', [EHLO] = '2', [STARTTLS] = '2', [EHLO_TLS] = '2', [MAIL] = '2', [RCPT] = '2', [DATA] = '3', [DOT] = '2', [QUIT] = '2'};

	if (line[0] != want[s->step]) {
		refused(s, line);
		return;
	}
	switch (s->step) {
	case GREETING:
		s->step = EHLO;
		say_line(s, "EHLO ", "load.example", (unsigned)-1);
		break;
	case EHLO:
		if (opt.tls) {
			s->step = STARTTLS;
			say_line(s, "STARTTLS", "", (unsigned)-1);
			break;
		}
		next_message(s);
		break;
	case STARTTLS:
		s->ssl = SSL_new(tls_context);
		SSL_set_fd(s->ssl, s->fd);
		s->handshake = true;
		handshake(s);
		break;
	case EHLO_TLS:
		next_message(s);
		break;
	case MAIL:
		s->step = RCPT;
		say_line(s, "RCPT TO:<", "", started % opt.domains);
		break;
	case RCPT:
		s->step = DATA;
		say_line(s, "DATA", "", (unsigned)-1);
		break;
	case DATA:
		s->step = DOT;
		say(s, body, body_n);
		break;
	case DOT:
		latency[done++] = now() - s->began;
		next_message(s);
		break;
	case QUIT:
		hang_up(s);
		break;
	}
}

static void
readable(struct session *s)
{
	ssize_t n = s->ssl != NULL ? SSL_read(s->ssl, s->in + s->in_n, (int)(sizeof s->in - 1 - s->in_n))
	                           : recv(s->fd, s->in + s->in_n, sizeof s->in - 1 - s->in_n, 0);
	char *line, *end;

	if (n <= 0) {
		if ((s->ssl == NULL && (n == 0 || errno != EAGAIN)) || (s->ssl != NULL && SSL_get_error(s->ssl, (int)n) != SSL_ERROR_WANT_READ))
			refused(s, "connection lost");
		return;
	}
	s->in_n += (size_t)n;
	s->in[s->in_n] = '\0';
	for (line = s->in; (end = strstr(line, "\r\n")) != NULL; line = end + 2) {
		*end = '\0';
		if (line[3] == '-')
			continue;
		s->in_n = 0; /* no pipelining: one reply at a time */
		replied(s, line);
		return;
	}
	s->in_n = strlen(line);
	memmove(s->in, line, s->in_n);
}

static void
options(int argc, char **argv)
{
	int c;

	opt.to.sin_family = AF_INET;
	while ((c = getopt(argc, argv, "t:s:m:n:l:d:f:j:T")) != -1) {
		char *colon;

		switch (c) {
		case 't':
			colon = strchr(optarg, ':');
			if (colon == NULL)
				exit(2);
			*colon = '\0';
			opt.to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
			if (inet_pton(AF_INET, optarg, &opt.to.sin_addr) != 1)
				exit(2);
			break;
		case 's': opt.sessions = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'm': opt.messages = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'n': opt.per_connection = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'l': opt.size = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'd': opt.domains = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'f': opt.from = optarg; break;
		case 'j': opt.processes = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'T': opt.tls = true; break;
		default: exit(2);
		}
	}
}

static void
make_body(void)
{
	static const char head[] = "From: <app@sender.example>\r\nTo: <r@bench.example>\r\nSubject: load\r\n"
	                           "Date: Mon, 23 Nov 2026 10:07:11 +0000\r\nMessage-ID: <1@sender.example>\r\n\r\n";

	body = malloc(opt.size + sizeof head + 256);
	if (body == NULL)
		die("memory");
	memcpy(body, head, sizeof head - 1);
	body_n = sizeof head - 1;
	while (body_n < opt.size) {
		memset(body + body_n, 'x', 76);
		memcpy(body + body_n + 76, "\r\n", 2);
		body_n += 78;
	}
	memcpy(body + body_n, ".\r\n", 3);
	body_n += 3;
}

static int
any_certificate(X509_STORE_CTX *store, void *arg)
{
	(void)store;
	(void)arg;
	return 1;
}

/* The server is what is measured: its certificate is not looked at, and no session is kept. */
static void
make_tls(void)
{
	char groups[] = "X25519"; /* the macro casts its const away */

	tls_context = SSL_CTX_new(TLS_client_method());
	if (tls_context == NULL || SSL_CTX_set1_groups_list(tls_context, groups) != 1)
		die("TLS");
	SSL_CTX_set_cert_verify_callback(tls_context, any_certificate, NULL);
	SSL_CTX_set_session_cache_mode(tls_context, SSL_SESS_CACHE_OFF);
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* What a process has done, in memory shared with the first one; its latencies follow. */
struct result {
	unsigned done, failed;
	double   latency[];
};

static struct result *
share(size_t latencies)
{
	void *m = mmap(NULL, sizeof(struct result) + latencies * sizeof(double), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (m == MAP_FAILED)
		die("memory");
	return m;
}

static double
cpu_of(int who)
{
	struct rusage use;

	getrusage(who, &use);
	return (double)use.ru_utime.tv_sec + (double)use.ru_utime.tv_usec / 1e6 + (double)use.ru_stime.tv_sec + (double)use.ru_stime.tv_usec / 1e6;
}

static void
report(double seconds)
{
	qsort(latency, done, sizeof *latency, by_value);
	printf("{\"messages\":%u,\"failed\":%u,\"seconds\":%.3f,\"rate\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"cpu_s\":%.3f}\n", done, failed, seconds,
	    done / seconds, done ? latency[done / 2] * 1e3 : 0, done ? latency[(size_t)(done * 0.99)] * 1e3 : 0,
	    cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN));
}

static void
run(void)
{
	struct epoll_event events[256];
	struct session *sessions = calloc(opt.sessions, sizeof *sessions);

	if ((poller = epoll_create1(0)) < 0 || sessions == NULL)
		die("start");
	for (open_sessions = 0; open_sessions < opt.sessions; open_sessions++)
		dial(&sessions[open_sessions]);
	while (open_sessions > 0) {
		int n = epoll_wait(poller, events, 256, 30000);

		if (n == 0) {
			fprintf(stderr, "load: nothing happened for 30 s\n");
			break;
		}
		for (int i = 0; i < n; i++) {
			struct session *s = events[i].data.ptr;

			if (s->handshake)
				handshake(s);
			else if (s->out_n > 0 && (events[i].events & EPOLLOUT))
				flush(s);
			if (!s->handshake && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
				readable(s);
		}
	}
	free(sessions);
}

/* A child does its part and leaves the result where the first process finds it. */
static void
run_shared(struct result *r)
{
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (child > 0)
		return;
	run();
	r->done = done;
	r->failed = failed;
	memcpy(r->latency, latency, done * sizeof *latency);
	_exit(0);
}

static void
collect(const struct result *r)
{
	memcpy(latency + done, r->latency, r->done * sizeof *latency);
	done += r->done;
	failed += r->failed;
}

int
main(int argc, char **argv)
{
	struct result *results[16];
	unsigned       all, total;
	double         began;

	options(argc, argv);
	make_body();
	if (opt.processes == 0 || opt.processes > 16 || opt.processes > opt.sessions)
		exit(2);
	total = opt.messages;
	all = opt.messages + opt.sessions;
	if ((latency = calloc(all, sizeof *latency)) == NULL)
		die("start");
	if (opt.tls)
		make_tls();
	opt.sessions /= opt.processes;
	opt.messages /= opt.processes;
	began = now();
	if (opt.processes == 1)
		run();
	for (unsigned i = 0; opt.processes > 1 && i < opt.processes; i++)
		run_shared(results[i] = share(all));
	while (wait(NULL) > 0)
		;
	for (unsigned i = 0; opt.processes > 1 && i < opt.processes; i++)
		collect(results[i]);
	report(now() - began);
	return failed > 0 && done < total;
}
