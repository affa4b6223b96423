/* SPDX-License-Identifier: ISC */
/*
 * idle - opens connections and keeps them: idle -t 127.0.0.1:25 -n 10000 [-T]
 *
 * Each reads the greeting and says EHLO; -T goes through STARTTLS as well. Prints how many were
 * served and then waits for a line on standard input before it ends.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static bool
ask(int fd, SSL *ssl, const char *line, const char *want)
{
	char in[4096];
	ssize_t n;

	if (line != NULL && (ssl != NULL ? SSL_write(ssl, line, (int)strlen(line)) <= 0
	                                 : send(fd, line, strlen(line), MSG_NOSIGNAL) <= 0))
		return false;
	n = ssl != NULL ? SSL_read(ssl, in, sizeof in) : recv(fd, in, sizeof in, 0);
	return n >= 3 && strncmp(in, want, 3) == 0;
}

static bool
open_one(const struct sockaddr_in *to, SSL_CTX *tls)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	SSL *ssl = NULL;

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) != 0)
		return false;
	if (!ask(fd, NULL, NULL, "220") || !ask(fd, NULL, "EHLO idle.example\r\n", "250"))
		return false;
	if (tls == NULL)
		return true;
	if (!ask(fd, NULL, "STARTTLS\r\n", "220") || (ssl = SSL_new(tls)) == NULL)
		return false;
	SSL_set_fd(ssl, fd);
	return SSL_connect(ssl) == 1 && ask(fd, ssl, "EHLO idle.example\r\n", "250");
}

int
main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct rlimit files = {65536, 65536};
	SSL_CTX *tls = NULL;
	unsigned n = 1000, served = 0;
	char *colon;
	int c;

	setrlimit(RLIMIT_NOFILE, &files);
	while ((c = getopt(argc, argv, "t:n:T")) != -1) {
		if (c == 'n') {
			n = (unsigned)strtoul(optarg, NULL, 10);
		} else if (c == 'T') {
			tls = SSL_CTX_new(TLS_client_method());
		} else if (c == 't' && (colon = strchr(optarg, ':')) != NULL) {
			*colon = '\0';
			to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
			if (inet_pton(AF_INET, optarg, &to.sin_addr) != 1)
				return 2;
		} else {
			return 2;
		}
	}
	while (served < n && open_one(&to, tls))
		served++;
	printf("{\"served\":%u}\n", served);
	fflush(stdout);
	(void)getchar();
	return 0;
}
