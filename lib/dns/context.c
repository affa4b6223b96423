/* SPDX-License-Identifier: ISC */
#include "lib/dns/context.h"

#include <unbound-event.h>
#include <unbound.h>

#include "lib/net/loop.h"
#include "lib/util/buf.h"

/*
 * Small caches: a sender asks for few names again and again. outgoing-range is
 * what libunbound allocates in advance; num-queries leaves room for the 256 of
 * ours and for those that we gave up and it has not.
 */
static const char *const common[][2] = {
	{"verbosity:", "0"},
	{"use-syslog:", "no"},
	{"msg-cache-size:", "4m"},
	{"msg-cache-slabs:", "1"},
	{"rrset-cache-size:", "8m"},
	{"rrset-cache-slabs:", "1"},
	{"infra-cache-slabs:", "1"},
	{"key-cache-size:", "1m"},
	{"key-cache-slabs:", "1"},
	{"neg-cache-size:", "256k"},
	{"outgoing-range:", "512"},
	{"num-queries-per-thread:", "512"},
	{"cache-max-negative-ttl:", "30"}, /* somebody waits for his record to appear */
};

/*
 * libunbound refuses servers on loopback and answers for some zones by itself
 * (RFC 6303, RFC 6761). Towards a configured server neither is wanted: it may sit
 * on this machine, and it, not we, knows the local zones.
 */
static const char *const forwarding[][2] = {
	{"do-not-query-localhost:", "no"},
	{"unblock-lan-zones:", "yes"},
	{"insecure-lan-zones:", "yes"},
	{"local-zone:", "test. transparent"},
	{"local-zone:", "example. transparent"},
	{"local-zone:", "invalid. transparent"},
	{"local-zone:", "home.arpa. transparent"},
	{"local-zone:", "onion. transparent"},
	{"local-zone:", "127.in-addr.arpa. transparent"},
	{"local-zone:", "2.0.192.in-addr.arpa. transparent"},
	{"local-zone:", "100.51.198.in-addr.arpa. transparent"},
	{"local-zone:", "113.0.203.in-addr.arpa. transparent"},
	{"local-zone:", "8.b.d.0.1.0.0.2.ip6.arpa. transparent"},
	{"local-zone:",
	 "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa. transparent"},
};

static bool
set(struct ub_ctx *ctx, const char *option, const char *value, struct buf *why)
{
	int error = ub_ctx_set_option(ctx, option, value);

	if (error != 0)
		buf_addf(why, "libunbound refuses %s %s: %s", option, value, ub_strerror(error));
	return error == 0;
}

static bool
set_all(struct ub_ctx *ctx, const char *const (*rows)[2], size_t n, struct buf *why)
{
	for (size_t i = 0; i < n; i++)
		if (!set(ctx, rows[i][0], rows[i][1], why))
			return false;
	return true;
}

static bool
set_servers(struct ub_ctx *ctx, const struct source *s, struct buf *why)
{
	for (size_t i = 0; i < s->n_servers; i++) {
		struct buf text = BUF(64);
		int        error;

		addr_format(&text, s->servers[i]);
		if (s->servers[i].port != 0)
			buf_addf(&text, "@%u", s->servers[i].port);
		error = ub_ctx_set_fwd(ctx, buf_z(&text));
		if (error != 0)
			buf_addf(why, "libunbound refuses the server %s: %s", buf_z(&text),
			         ub_strerror(error));
		buf_free(&text);
		if (error != 0)
			return false;
	}
	return true;
}

/* Names of the hosts file; one that libunbound does not like is left out. */
static void
set_hosts(struct ub_ctx *ctx, const struct source *s)
{
	struct str text = buf_str(&s->hosts), line;
	struct buf value = BUF(512);

	while (str_cut(&text, '\n', &line)) {
		buf_clear(&value);
		buf_add(&value, line);
		if (line.n > 0 && !value.over)
			(void)ub_ctx_set_option(ctx, "local-data:", buf_z(&value));
	}
	buf_free(&value);
}

static bool
set_anchor(struct ub_ctx *ctx, const struct source *s, struct buf *why)
{
	struct str text = buf_str(&s->anchor), line;
	struct buf value = BUF(4096);
	int        error = 0;

	while (error == 0 && str_cut(&text, '\n', &line)) {
		buf_clear(&value);
		buf_add(&value, line);
		if (line.n > 0)
			error = ub_ctx_add_ta(ctx, buf_z(&value));
	}
	buf_free(&value);
	if (error != 0)
		buf_addf(why, "libunbound refuses the trust anchor: %s", ub_strerror(error));
	return error == 0;
}

struct ub_ctx *
context_create(struct loop *l, struct source *s, bool validate, struct buf *why)
{
	struct ub_ctx *ctx = ub_ctx_create_event(loop_base(l));

	if (ctx == NULL) {
		buf_addz(why, "libunbound gives no context");
		return NULL;
	}
	ub_ctx_debugout(ctx, NULL); /* its own lines would not be ours in form */
	if (!set_all(ctx, common, ARRAY_LEN(common), why))
		goto fail;
	if (!set(ctx, "module-config:", validate ? "validator iterator" : "iterator", why))
		goto fail;
	if (validate && !set_anchor(ctx, s, why))
		goto fail;
	if (!s->recursive && !set_all(ctx, forwarding, ARRAY_LEN(forwarding), why))
		goto fail;
	if (!s->recursive && !set_servers(ctx, s, why))
		goto fail;
	set_hosts(ctx, s);
	return ctx;
fail:
	ub_ctx_delete(ctx);
	return NULL;
}
