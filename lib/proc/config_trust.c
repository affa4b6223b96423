/* SPDX-License-Identifier: ISC */
/* config_trust - networks that may send without a login, and the refusal to be an open relay. */
#include <stdlib.h>

#include "lib/proc/config_private.h"
#include "lib/proc/trust_nets.h"

#define OPEN_RELAY "i-know-this-is-an-open-relay"

enum { WIDEST_4 = 8, WIDEST_6 = 32, SHOWN_NETS = 4 };

static const char *const words_of_trust[] = {"loopback", "none", "container-net", OPEN_RELAY, NULL};

static const char *
word_name(const void *arg UNUSED, size_t i)
{
	return words_of_trust[i];
}

static void
add(struct maker *m, const struct word *w, struct cidr net)
{
	struct config     *c = m->c;
	struct trust_conf *t;
	struct buf         key = BUF(64);
	size_t             at = c->n_trusts;
	bool               seen;

	cidr_format(&key, &net);
	seen = conf_seen(m, CONF_SEEN_NETS, buf_str(&key), &at);
	buf_free(&key);
	if (seen) {
		conf_problem(m, CONF_ERROR, w->at, "this network is trusted already (line %u)",
		             c->trusts[at].origin.line);
		return;
	}
	c->trusts = arena_more(&m->full->arena, c->trusts, c->n_trusts, sizeof *c->trusts);
	t = &c->trusts[c->n_trusts++];
	t->net = net;
	t->origin = conf_origin(m, w);
}

static void
add_loopback(struct maker *m, const struct word *w)
{
	struct cidr net4 = {.addr = {.family = 4, .ip = {127}}, .bits = 8};
	struct cidr net6 = {.addr = {.family = 6, .ip = {[15] = 1}}, .bits = 128};

	add(m, w, net4);
	add(m, w, net6);
}

/* Looked up now: an interface that comes later is trusted after the next reload. */
static void
add_container(struct maker *m, const struct word *w)
{
	size_t       n;
	struct cidr *nets = trust_nets_container(&n);

	if (n == 0)
		conf_problem(m, CONF_WARNING, w->at, "this machine is in no private network");
	for (size_t i = 0; i < n; i++)
		add(m, w, nets[i]);
	free(nets);
}

static struct cidr
whole(struct addr a)
{
	a.port = 0;
	return (struct cidr){.addr = a, .bits = a.family == 4 ? 32 : 128};
}

/*
 * Nobody owns a /7. Two halves of the Internet are as open as the whole, so width decides
 * and not the one spelling 0.0.0.0/0.
 */
static void
refuse_wide(struct maker *m, const struct word *w, const struct cidr *net, bool sworn)
{
	bool all = net->bits == 0;

	if (net->bits >= (net->addr.family == 4 ? WIDEST_4 : WIDEST_6))
		return;
	if (sworn) {
		conf_problem(m, CONF_WARNING, w->at, "%.*s: this server is an open relay",
		             S(w->text));
		return;
	}
	conf_problem(m, CONF_ERROR, w->at, "%.*s lets %s send through this server", S(w->text),
	             all ? "anyone on the Internet" : "a large part of the Internet");
	conf_hint(m, "refused unless you write `trust %.*s " OPEN_RELAY "`", S(w->text));
}

static void
network(struct maker *m, const struct word *w, bool sworn)
{
	const char *near;
	struct cidr net;
	struct addr a;
	ptrdiff_t   slash = str_rfind(w->text, '/');

	if (addr_parse(w->text, &a)) {
		add(m, w, whole(a));
		return;
	}
	if (cidr_parse(w->text, &net)) {
		if (!m->carried)
			refuse_wide(m, w, &net, sworn);
		add(m, w, net);
		return;
	}
	if (slash > 0 && addr_parse(str_sub(w->text, 0, (size_t)slash), &a)) {
		uint64_t bits;

		conf_problem(m, CONF_ERROR, w->at, "\"%.*s\" is no network", S(w->text));
		if (!str_number(str_skip(w->text, (size_t)slash + 1), whole(a).bits, &bits))
			conf_hint(m, "behind the / stands a number from 0 to %u", whole(a).bits);
		else
			conf_hint(
				m,
				"the address has bits set behind /%u: trust one address, or its network",
				(unsigned)bits);
		return;
	}
	conf_problem(m, CONF_ERROR, w->at, "\"%.*s\" is neither a network nor a word of \"trust\"",
	             S(w->text));
	if ((near = conf_nearest(w->text, word_name, NULL)) != NULL)
		conf_hint(m, "did you mean \"%s\"?", near);
	else
		conf_hint(m, "write loopback, container-net, none, or networks as 10.1.2.0/24");
}

static bool
is(const struct word *w, const char *name)
{
	return str_eq(w->text, str_of(name));
}

static bool
has_word(const struct word *words, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (is(&words[i], name))
			return true;
	return false;
}

static void
parse_trust(struct maker *m, const struct row *row, void *base UNUSED, struct word *words, size_t n)
{
	struct trust_conf shared = {0};
	size_t            head = conf_head(m->node, row->block, 1), first = m->c->n_trusts;
	bool              sworn = has_word(words, head, OPEN_RELAY);
	unsigned          errors = m->errors;

	(void)n;
	for (size_t i = 0; i < head; i++) {
		if (is(&words[i], "loopback"))
			add_loopback(m, &words[i]);
		else if (is(&words[i], "container-net"))
			add_container(m, &words[i]);
		else if (is(&words[i], "none") && head > 1)
			conf_problem(m, CONF_ERROR, words[i].at,
			             "\"none\" does not go with other networks");
		else if (!is(&words[i], "none") && !is(&words[i], OPEN_RELAY))
			network(m, &words[i], sworn);
	}
	m->trust_doubtful = m->trust_doubtful || m->errors > errors;
	conf_statements(m, row->block, &shared, head);
	for (size_t i = first; i < m->c->n_trusts; i++) {
		m->c->trusts[i].from = shared.from;
		m->c->trusts[i].rate = shared.rate;
		m->c->trusts[i].quota = shared.quota;
	}
}

static bool
same_origin(const struct origin *a, const struct origin *b)
{
	return a->line == b->line && a->column == b->column &&
	       str_eq(str_of(a->file), str_of(b->file));
}

/* For people, what one word stands for is one row: `i` counts words. */
static bool
show(struct view *v, const struct row *row, const struct config *c, size_t i)
{
	size_t first = 0, end;

	for (;; first = end, i--) {
		if (first == c->n_trusts)
			return false;
		for (end = first + 1; end < c->n_trusts; end++)
			if (!same_origin(&c->trusts[first].origin, &c->trusts[end].origin))
				break;
		if (i == 0)
			break;
	}
	v->origin = c->trusts[first].origin;
	for (size_t k = first; k < end && end - first <= SHOWN_NETS; k++) {
		buf_addc(v->out, ' ');
		cidr_format(v->out, &c->trusts[k].net);
	}
	if (end - first > SHOWN_NETS)
		buf_addz(v->out, " container-net");
	conf_put_block(v, row->block, &c->trusts[first]);
	return true;
}

static bool
format_trust(struct view *v, const struct row *row, const void *base, size_t i)
{
	const struct config *c = base;

	if (i == 0 && c->n_trusts == 0) {
		v->origin = c->trust_origin;
		buf_addz(v->out, " none");
		return true;
	}
	if (v->show)
		return show(v, row, c, i);
	if (i >= c->n_trusts)
		return false;
	v->origin = c->trusts[i].origin;
	buf_addc(v->out, ' ');
	cidr_format(v->out, &c->trusts[i].net);
	conf_put_block(v, row->block, &c->trusts[i]);
	return true;
}

const struct kind kind_trust = {parse_trust, format_trust};
