/* SPDX-License-Identifier: ISC */
#include "cmd/world.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/door.h"
#include "doctor/peers.h"
#include "lib/dns/context.h"
#include "lib/mail/address.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"

enum { LIMIT_MS = 4500, TEXT_MAX = 4096, DNS_PORT = 53 };

static void
add_address(struct addr **list, size_t *n, struct addr a)
{
	for (size_t i = 0; i < *n; i++)
		if (addr_equal((*list)[i], a) && (*list)[i].port == a.port)
			return;
	*list = mem_resize(*list, *n + 1, sizeof **list);
	(*list)[(*n)++] = a;
}

static void
add_domain(struct world *w, struct str domain)
{
	for (size_t i = 0; i < w->n_domains; i++)
		if (str_eq(w->domains[i], domain))
			return;
	w->domains = mem_resize(w->domains, w->n_domains + 1, sizeof *w->domains);
	w->domains[w->n_domains++] = (struct str){str_dup(domain), domain.n};
}

bool
world_add_domain(struct world *w, const char *name)
{
	struct buf domain = BUF(DOMAIN_MAX + 1);
	bool       ok = name[0] != '[' && domain_canonical(&domain, str_of(name));

	if (ok)
		add_domain(w, buf_str(&domain));
	buf_free(&domain);
	return ok;
}

static int
take_addresses(struct world *w, struct cmd *c, const char *option)
{
	const char *word;
	struct addr a;

	while ((word = cmd_option(c, option)) != NULL) {
		if (!addr_parse(str_of(word), &a))
			return cmd_usage(c, "that is no IP address");
		add_address(&w->sources, &w->n_sources, a);
		w->sources_given = true;
	}
	return CMD_OK;
}

int
world_options(struct world *w, struct cmd *c)
{
	const char *word;
	struct addr a;
	int         code;

	if ((code = take_addresses(w, c, "source")) != CMD_OK ||
	    (code = take_addresses(w, c, "public-ip")) != CMD_OK)
		return code;
	while ((word = cmd_option(c, "resolver")) != NULL) {
		if (!addr_parse_port(str_of(word), DNS_PORT, &a))
			return cmd_usage(c, "--resolver takes IP or IP@PORT");
		add_address(&w->resolvers, &w->n_resolvers, a);
	}
	while ((word = cmd_option(c, "domain")) != NULL)
		if (!world_add_domain(w, word))
			return cmd_usage(c, "that is no domain name");
	return CMD_OK;
}

/* The address that the system would send from: a UDP socket "connects" without a packet. */
static void
add_route(struct world *w, const char *towards)
{
	struct sockaddr_storage ss;
	struct addr             to, from;
	socklen_t               n;
	int                     fd;

	if (!addr_parse(str_of(towards), &to))
		return;
	to.port = DNS_PORT;
	n = addr_to_sockaddr(to, &ss);
	fd = socket(to.family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&ss, n) == 0) {
		n = sizeof ss;
		if (getsockname(fd, (struct sockaddr *)&ss, &n) == 0 &&
		    addr_from_sockaddr((struct sockaddr *)&ss, &from) && !addr_is_any(from)) {
			from.port = 0;
			add_address(&w->sources, &w->n_sources, from);
		}
	}
	if (fd >= 0)
		close(fd);
}

static void
find_sources(struct world *w)
{
	const struct outbound_conf *o = &w->config->outbound;

	if (w->n_sources > 0)
		return;
	if (o->public4.family != 0)
		add_address(&w->sources, &w->n_sources, o->public4);
	else if (o->bind4.family != 0)
		add_address(&w->sources, &w->n_sources, o->bind4);
	else
		add_route(w, "192.0.2.1");
	if (o->ipv6 == IPV6_OFF)
		return;
	if (o->public6.family != 0)
		add_address(&w->sources, &w->n_sources, o->public6);
	else if (o->bind6.family != 0)
		add_address(&w->sources, &w->n_sources, o->bind6);
	else
		add_route(w, "2001:db8::1");
}

/* Patterns stand for too much to be checked; the names in them are what can be. */
static void
find_domains(struct world *w)
{
	if (w->n_domains > 0)
		return;
	for (size_t i = 0; i < w->config->domains.n; i++) {
		struct str d = w->config->domains.v[i];

		if (str_find(d, '*') < 0 && str_find(d, '@') < 0)
			add_domain(w, d);
	}
	for (size_t i = 0; i < w->config->n_dkim; i++)
		add_domain(w, w->config->dkim[i].domain);
}

static int
open_door(void *arg, unsigned index, struct addr client)
{
	struct world *w = arg;

	if (w->door == NULL)
		w->door = door_create(ask_loop(w->ask), w->config);
	return door_open(w->door, index, client);
}

static void
close_ask(struct world *w)
{
	door_destroy(w->door);
	w->door = NULL;
	ask_destroy(w->ask);
	w->ask = NULL;
}

/* Whom lib/dns will ask; needed by name for the check of the resolver. */
static int
open_resolver(struct world *w)
{
	struct dns_conf conf = {.recursive = w->config->resolver == RESOLVER_RECURSIVE,
	                        .servers = w->config->resolvers,
	                        .n_servers = w->config->n_resolvers,
	                        .dnssec = (enum dns_dnssec)w->config->dnssec};
	struct source   source;
	struct buf      why = BUF(TEXT_MAX);

	if (w->n_resolvers > 0)
		conf = (struct dns_conf){.servers = w->resolvers,
		                         .n_servers = w->n_resolvers,
		                         .dnssec = conf.dnssec};
	if (source_read(&source, &conf, &why))
		for (size_t i = 0; i < source.n_servers && w->n_resolvers < 8; i++)
			add_address(&w->resolvers, &w->n_resolvers, source.servers[i]);
	source_free(&source);
	w->ask = ask_create(&conf, &why);
	if (w->ask == NULL && w->inside)
		log_error(ev("dns-error"), kv("why", buf_str(&why)));
	else if (w->ask == NULL)
		cmd_error("resolver", buf_z(&why), NULL);
	else
		ask_set_door(w->ask,
		             &(struct ask_door){.open = open_door,
		                                .arg = w,
		                                .ca_pem = w->config->n_tls > 0
		                                                  ? w->config->tls[0].cert_pem
		                                                  : STR_NONE});
	buf_free(&why);
	return w->ask != NULL ? CMD_OK : CMD_FAILED;
}

int
world_open(struct world *w, struct config *config)
{
	int code;

	w->config = config;
	find_sources(w);
	find_domains(w);
	if ((code = open_resolver(w)) != CMD_OK)
		return code;
	w->exam.config = config;
	w->exam.facts = ask_facts(w->ask);
	w->exam.sources = w->sources;
	w->exam.n_sources = w->n_sources;
	w->exam.domains = w->domains;
	w->exam.n_domains = w->n_domains;
	w->exam.resolvers = w->resolvers;
	w->exam.n_resolvers = w->n_resolvers;
	return CMD_OK;
}

void
world_close(struct world *w)
{
	exam_free(&w->exam);
	close_ask(w);
	for (size_t i = 0; i < w->n_domains; i++)
		free((void *)(uintptr_t)w->domains[i].p);
	free(w->domains);
	free(w->sources);
	free(w->resolvers);
	config_unref(w->config);
}

/* Behind NAT others know our address, and it is theirs that counts. */
static bool
learn_sources(struct world *w)
{
	struct addr seen;
	bool        learned = false;

	for (size_t i = 0; i < w->n_sources && !w->sources_given; i++)
		if (!exam_is_public(w->sources[i]) &&
		    peers_see(&w->exam, w->sources[i].family, &seen) && exam_is_public(seen)) {
			w->sources[i] = seen;
			learned = true;
		}
	return learned;
}

static bool
judge(void *arg)
{
	struct world *w = arg;
	bool          done = exam_run(&w->exam);

	return learn_sources(w) ? exam_run(&w->exam) : done;
}

void
world_judge(struct world *w)
{
	ask_until(w->ask, judge, w, LIMIT_MS);
}

int
world_forget(struct world *w)
{
	int code;

	exam_free(&w->exam);
	close_ask(w);
	if ((code = open_resolver(w)) == CMD_OK)
		w->exam.facts = ask_facts(w->ask);
	return code;
}

bool
world_is_silent(const struct world *w)
{
	size_t asked = 0;

	for (size_t i = 0; i < facts_count(w->exam.facts); i++) {
		const struct fact *f = facts_at(w->exam.facts, i);

		if (fact_is_talk(f) || f->server.family != 0)
			continue;
		if (f->status != DNS_TEMPFAIL)
			return false;
		asked++;
	}
	return asked > 0;
}
