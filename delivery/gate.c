/* SPDX-License-Identifier: ISC */
#include "delivery/gate.h"

#include <stdlib.h>

#include "delivery/published.h"
#include "delivery/route.h"
#include "dkim/choose.h"
#include "lib/util/hash.h"
#include "lib/util/mem.h"

enum { TEXT_MAX = 512, FAILING_MAX = 4096 };

/* SPF for our IPv6 address does not pass, which is more than to fail: nobody has to send over IPv6. */
enum check { CHECK_DKIM_FAILS, CHECK_SPF4_FAILS, CHECK_SPF6_NOT_PASSED };

/* A domain for which something fails, from one source of the doctor's lines. */
struct failing {
	struct link link;
	enum check  check;
	char       *domain;
};

struct gates {
	bool        examined;
	bool        ptr4_fails, ptr6_good, ipv6_good, ipv6_fails;
	struct list failing;
	uint64_t    text; /* hash of what was taken last */
};

struct gates *
gates_create(void)
{
	struct gates *g = mem_zero(sizeof *g);

	list_init(&g->failing);
	return g;
}

static void
forget(struct gates *g)
{
	struct link *k;

	while ((k = list_pop(&g->failing)) != NULL) {
		struct failing *f = CONTAINER(k, struct failing, link);

		free(f->domain);
		free(f);
	}
	g->examined = g->ptr4_fails = g->ptr6_good = g->ipv6_good = g->ipv6_fails = false;
}

void
gates_destroy(struct gates *g)
{
	if (g == NULL)
		return;
	forget(g);
	free(g);
}

static void
add_failing(struct gates *g, enum check check, struct str domain)
{
	struct failing *f;

	if (g->failing.n >= FAILING_MAX)
		return;
	f = mem_zero(sizeof *f);
	f->check = check;
	f->domain = str_dup(domain);
	list_push(&g->failing, &f->link);
}

/* What one text says of IPv6: its PTR must have passed, and SPF of each domain. */
struct ipv6 {
	bool ptr, not_ptr, not_spf, fails;
};

static void
take_line(struct gates *g, struct ipv6 *six, struct str line)
{
	struct str kind = str_word(&line), first = str_word(&line), second = str_word(&line);

	if (str_eq(kind, STR("examined"))) {
		g->examined = true;
	} else if (str_eq(kind, STR("ptr"))) {
		g->ptr4_fails = g->ptr4_fails ||
		                (str_eq(first, STR("4")) && str_eq(second, STR("fail")));
		six->ptr = six->ptr || (str_eq(first, STR("6")) && str_eq(second, STR("pass")));
		six->not_ptr = six->not_ptr || (str_eq(first, STR("6")) && !str_eq(second, STR("pass")));
		six->fails = six->fails || (str_eq(first, STR("6")) && str_eq(second, STR("fail")));
	} else if (str_eq(kind, STR("spf"))) {
		struct str status = str_word(&line);

		if (str_eq(first, STR("4")) && str_eq(status, STR("fail")))
			add_failing(g, CHECK_SPF4_FAILS, second);
		if (str_eq(first, STR("6")) && !str_eq(status, STR("pass")))
			add_failing(g, CHECK_SPF6_NOT_PASSED, second);
		six->not_spf = six->not_spf ||
		               (str_eq(first, STR("6")) && !str_eq(status, STR("pass")));
		six->fails = six->fails || (str_eq(first, STR("6")) && str_eq(status, STR("fail")));
	} else if (str_eq(kind, STR("dkim")) && str_eq(second, STR("fail"))) {
		add_failing(g, CHECK_DKIM_FAILS, first);
	}
}

bool
gates_take(struct gates *g, struct str rows, struct published *p)
{
	struct ipv6 six = {false, false, false, false};
	struct str  line;
	uint64_t    text = hash_str(rows);
	bool        news = text != g->text;

	g->text = text;
	forget(g);
	published_forget(p);
	while (str_cut(&rows, '\n', &line)) {
		if (str_starts(line, STR("seen ")))
			published_seen(p, str_skip(line, 5));
		else
			take_line(g, &six, line);
	}
	g->ptr6_good = six.ptr && !six.not_ptr;
	g->ipv6_good = six.ptr && !six.not_spf;
	g->ipv6_fails = six.fails;
	return news;
}

bool
gates_ipv6(const struct gates *g, const struct config *c)
{
	if (c->outbound.ipv6 == IPV6_ON)
		return g == NULL || c->preflight != PREFLIGHT_ENFORCE || !g->ipv6_fails;
	if (c->outbound.ipv6 == IPV6_OFF)
		return false;
	return g == NULL || (g->ipv6_good && c->preflight != PREFLIGHT_OFF);
}

static bool
fails(const struct gates *g, enum check check, struct str domain)
{
	struct failing *f;

	LIST_EACH(&g->failing, f, struct failing, link)
		if (f->check == check && str_eq(str_of(f->domain), domain))
			return true;
	return false;
}

/* ---- one mail ---- */

void
gate_pass_free(struct gate_pass *pass)
{
	buf_free(&pass->text);
}

static enum gate_way
hold(struct gate_pass *pass, uint8_t subject, uint8_t detail)
{
	pass->reply = (struct reply){.code = 451, .status = {4, subject, detail}};
	pass->reply.text = buf_str(&pass->text);
	return GATE_HOLD;
}

static struct str
domain_of(struct str address)
{
	size_t n = address.n;

	while (n > 0 && address.p[n - 1] != '@')
		n--;
	return str_skip(address, n);
}

static const char end[] = "; `postern doctor` tells how to repair it (preflight enforce)";

/* Our IPv4 address fails; all is well with the IPv6 address, if there is one. */
static bool
ipv6_passes(const struct gates *g, const struct config *c, struct str sender)
{
	return c->outbound.ipv6 != IPV6_OFF && g->ptr6_good &&
	       !fails(g, CHECK_SPF6_NOT_PASSED, sender);
}

/* Of our addresses one is good enough: who can be reached from there gets his mail. */
static enum gate_way
enforce_source(const struct gates *g, const struct config *c, struct str sender,
               struct gate_pass *pass)
{
	bool spf = fails(g, CHECK_SPF4_FAILS, sender);

	if (!g->ptr4_fails && !spf)
		return GATE_OPEN;
	if (ipv6_passes(g, c, sender)) {
		pass->only_ipv6 = true;
		return GATE_OPEN;
	}
	if (g->ptr4_fails) {
		buf_addf(&pass->text, "held: the reverse name of our address fails its check%s",
		         end);
		return hold(pass, 7, 25);
	}
	buf_addf(&pass->text, "held: SPF of %.*s does not pass for our address%s", (int)sender.n,
	         sender.p, end);
	return hold(pass, 7, 23);
}

/* A smarthost's address counts instead of ours; a signature is ours wherever it goes. */
static enum gate_way
enforce(const struct gates *g, struct str signer, struct gate_pass *pass)
{
	if (!g->examined) {
		buf_addz(&pass->text, "held: the checks of `preflight enforce` have not run yet");
		return hold(pass, 7, 0);
	}
	if (signer.n > 0 && fails(g, CHECK_DKIM_FAILS, signer)) {
		buf_addf(&pass->text, "held: no DKIM record of %.*s passes its check%s",
		         (int)signer.n, signer.p, end);
		return hold(pass, 7, 22);
	}
	return GATE_OPEN;
}

/*
 * On this machine itself nobody looks a key up: a test host, or a relay that is ours. What
 * follows there is the business of whoever set it up so.
 */
static bool
stays_here(const struct route *route)
{
	struct str  host = route->host;
	struct addr a;

	if (route->direct)
		return false;
	if (str_starts(host, STR("[")) && str_ends(host, STR("]")))
		host = str_sub(host, 1, host.n - 2);
	return str_ieq(host, STR("localhost")) || (addr_parse(host, &a) && addr_is_loopback(a));
}

/* The keys that are published; all of them, mostly, and then the configuration itself is the answer. */
static enum gate_way
choose_keys(struct published *p, const struct dkim_conf *conf, struct gate_pass *pass)
{
	bool       asked = false, silent = false;
	struct str why, first = STR_NONE;

	pass->part = *conf;
	pass->part.keys = pass->list;
	pass->part.n_keys = 0;
	for (size_t i = 0; i < conf->n_keys && i < GATE_KEYS_MAX; i++) {
		enum key_state state = published_look(p, conf->domain, &conf->keys[i], &why);

		asked = asked || state == KEY_ASKED;
		silent = silent || state == KEY_SILENT;
		if (state == KEY_PUBLISHED)
			pass->list[pass->part.n_keys++] = conf->keys[i];
		else if (first.n == 0)
			first = why;
	}
	if (asked)
		return GATE_WAIT;
	if (pass->part.n_keys > 0) {
		pass->keys = pass->part.n_keys == conf->n_keys ? conf : &pass->part;
	} else if (conf->go_unsigned) {
		pass->unsigned_why = "key-not-published";
	} else {
		buf_addf(&pass->text, "held: the DKIM key %.*s._domainkey.%.*s may not sign: %.*s",
		         (int)conf->keys[0].selector.n, conf->keys[0].selector.p,
		         (int)conf->domain.n, conf->domain.p, (int)first.n, first.p);
		return silent ? hold(pass, 4, 3) : hold(pass, 7, 20);
	}
	return GATE_OPEN;
}

enum gate_way
gate_try(const struct gates *g, struct published *p, const struct config *c,
         const struct envelope *env, const struct route *route, struct gate_pass *pass)
{
	struct buf              why = BUF(TEXT_MAX);
	const struct dkim_conf *conf;
	enum gate_way           way = GATE_OPEN;

	*pass = (struct gate_pass){.text = BUF(TEXT_MAX)};
	if (stays_here(route))
		return GATE_OPEN;
	conf = dkim_choose(c, env->header_from, &why);
	buf_free(&why);
	if (g != NULL && c->preflight == PREFLIGHT_ENFORCE)
		way = enforce(g, conf != NULL ? conf->domain : STR_NONE, pass);
	if (g != NULL && c->preflight == PREFLIGHT_ENFORCE && way == GATE_OPEN && route->direct)
		way = enforce_source(g, c, domain_of(env->from), pass);
	if (way == GATE_OPEN && conf != NULL && p != NULL)
		way = choose_keys(p, conf, pass);
	return way;
}
