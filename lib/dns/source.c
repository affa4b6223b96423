/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/dns/context.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"

static const char resolv_path[] = "/etc/resolv.conf";
static const char hosts_path[] = "/etc/hosts";
static const char anchor_path[] = "/usr/share/dns/root.key"; /* Debian's dns-root-data */

enum {
	FILE_MAX = 256 * 1024,
	HOSTS_MAX = 1024 * 1024,
	SERVERS_MAX = 8,
	DNS_PORT = 53,
};

static bool
read_file(const char *path, struct buf *text)
{
	int     fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	if (fd < 0)
		return false;
	while (n > 0) {
		char *to = buf_room(text, 4096);

		n = to == NULL ? 0 : read(fd, to, 4096);
		if (n > 0)
			buf_commit(text, (size_t)n);
	}
	close(fd);
	return n == 0;
}

static void
add_server(struct source *s, struct addr a)
{
	if (s->n_servers == SERVERS_MAX)
		return;
	s->servers = mem_resize(s->servers, s->n_servers + 1, sizeof *s->servers);
	s->servers[s->n_servers++] = a;
}

/* A line without its comment. */
static bool
next_line(struct str *text, struct str *line)
{
	ptrdiff_t at;

	if (!str_cut(text, '\n', line))
		return false;
	at = str_find(*line, '#');
	if (at >= 0)
		*line = str_sub(*line, 0, (size_t)at);
	return true;
}

void
source_nameservers(struct source *s, struct str text)
{
	struct str  line;
	struct addr a;

	while (next_line(&text, &line)) {
		if (!str_eq(str_word(&line), STR("nameserver")) || !addr_parse(str_word(&line), &a))
			continue;
		a.port = DNS_PORT;
		add_server(s, a);
	}
}

/* A name that could end the quotes round libunbound's local data is none. */
static bool
is_host_name(struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '.' && c != '-' && c != '_')
			return false;
	}
	return name.n > 0 && name.n < 254;
}

void
source_hosts(struct source *s, struct str text)
{
	struct str  line, name;
	struct addr a;

	while (next_line(&text, &line)) {
		if (!addr_parse(str_word(&line), &a))
			continue;
		while ((name = str_word(&line)).n > 0) {
			if (!is_host_name(name))
				continue;
			buf_add(&s->hosts, name);
			buf_addz(&s->hosts, a.family == 4 ? ". A " : ". AAAA ");
			addr_format(&s->hosts, a);
			buf_addc(&s->hosts, '\n');
		}
	}
}

/* Records without comments and blank lines, each on its line. */
static void
read_anchor(struct source *s)
{
	struct buf file = BUF(FILE_MAX);
	struct str text, line;

	if (read_file(anchor_path, &file)) {
		text = buf_str(&file);
		while (str_cut(&text, '\n', &line)) {
			ptrdiff_t at = str_find(line, ';');

			line = str_trim(at >= 0 ? str_sub(line, 0, (size_t)at) : line);
			if (line.n == 0)
				continue;
			buf_add(&s->anchor, line);
			buf_addc(&s->anchor, '\n');
		}
	}
	buf_free(&file);
}

static void
read_system(struct source *s)
{
	struct buf file = BUF(FILE_MAX);

	if (read_file(resolv_path, &file))
		source_nameservers(s, buf_str(&file));
	else if (errno == EACCES) /* another file since the sandbox was closed */
		log_warn(ev("dns-error"),
		         kv("why", "/etc/resolv.conf was replaced: restart postern to read it"));
	if (s->n_servers == 0) { /* as resolv.conf(5) has it */
		struct addr local;

		if (addr_parse_port(STR("127.0.0.1:53"), DNS_PORT, &local))
			add_server(s, local);
	}
	buf_clear(&file);
	if (read_file(hosts_path, &file))
		source_hosts(s, buf_str(&file));
	buf_free(&file);
}

bool
source_read(struct source *s, const struct dns_conf *conf, struct buf *why)
{
	*s = (struct source){.recursive = conf->recursive, .dnssec = conf->dnssec};
	buf_init(&s->hosts, HOSTS_MAX);
	buf_init(&s->anchor, FILE_MAX);
	for (size_t i = 0; i < conf->n_servers; i++)
		add_server(s, conf->servers[i]);
	if (!conf->recursive && conf->n_servers == 0)
		read_system(s);
	if (conf->dnssec != DNSSEC_OFF)
		read_anchor(s);
	if (conf->dnssec == DNSSEC_ON && s->anchor.n == 0) {
		buf_addf(why, "dnssec is on, but there is no trust anchor %s (package dns-root-data)",
		         anchor_path);
		return false;
	}
	return true;
}

void
source_free(struct source *s)
{
	free(s->servers);
	buf_free(&s->hosts);
	buf_free(&s->anchor);
	*s = (struct source){0};
}
