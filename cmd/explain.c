/* SPDX-License-Identifier: ISC */
/*
 * postern explain: what would become of a mail, and which line of the configuration says so.
 *
 * Asks the very functions that the daemon's roles ask, of the configuration as it
 * is on disk now; nothing is sent and no daemon is needed.
 */
#include <stdio.h>

#include "cmd/cmd.h"
#include "delivery/route.h"
#include "dkim/choose.h"
#include "lib/mail/address.h"
#include "lib/proc/config.h"
#include "lib/util/json.h"
#include "smtpd/policy.h"

enum { TEXT_MAX = 4096 };

/* The mail in question, and the answer as it grows. */
struct question {
	struct cmd          *c;
	struct config       *config;
	struct policy        policy;
	struct address       from, to;
	enum address_error   from_error, to_error;
	struct buf           out, text;
	struct json          json;
	bool                 accepted;
};

static void
add_origin(struct buf *out, const struct origin *o)
{
	if (o == NULL) {
		buf_addz(out, "built-in rule");
		return;
	}
	if (o->file == NULL) {
		buf_addz(out, "default");
		return;
	}
	buf_addz(out, o->file);
	if (o->line > 0)
		buf_addf(out, ":%u", o->line);
}

/* One step: what was asked, what came out, and who decided it. */
static void
tell(struct question *q, const char *what, struct str answer, const struct origin *o)
{
	struct buf by = BUF(TEXT_MAX);

	add_origin(&by, o);
	if (q->c->json) {
		json_open(&q->json, NULL, '{');
		json_str(&q->json, "what", str_of(what));
		json_str(&q->json, "answer", answer);
		json_str(&q->json, "origin", buf_str(&by));
		if (o != NULL && o->text != NULL)
			json_str(&q->json, "line", str_of(o->text));
		json_close(&q->json, '}');
	} else {
		buf_addf(&q->out, "%-10s ", what);
		buf_add(&q->out, answer);
		buf_addz(&q->out, "\n           by ");
		buf_add(&q->out, buf_str(&by));
		if (o != NULL && o->text != NULL && o->text[0] != '\0')
			buf_addf(&q->out, ": %s", o->text);
		buf_addc(&q->out, '\n');
	}
	buf_free(&by);
}

static void
tell_verdict(struct question *q, const char *what, struct verdict v, const char *if_ok)
{
	struct buf answer = BUF(TEXT_MAX);

	if (str_eq(str_of(v.why), STR("stranger"))) {
		buf_addz(&answer, "not looked at: the client may not send at all");
	} else if (policy_is_ok(v)) {
		buf_addz(&answer, if_ok);
		buf_addz(&answer, " (");
		buf_addz(&answer, v.why);
		buf_addc(&answer, ')');
	} else {
		buf_addz(&answer, "refused: ");
		reply_format(&answer, v.reply);
		q->accepted = false;
	}
	tell(q, what, buf_str(&answer), v.origin);
	buf_free(&answer);
}

/* In the order in which the session asks. */
static void
explain_policy(struct question *q)
{
	tell_verdict(q, "client", policy_client(&q->policy, &q->text), "may send");
	tell_verdict(q, "sender", policy_sender(&q->policy, q->from_error, q->from, &q->text),
	             "allowed");
	if (!address_is_null(q->from))
		tell_verdict(q, "author", policy_header(&q->policy, STR("From"), q->from, &q->text),
		             "allowed in From:");
	tell_verdict(q, "recipient", policy_recipient(&q->policy, q->to_error, q->to, &q->text),
	             "accepted");
	if (config_is_capture(q->config))
		tell(q, "mode", STR("capture: the mail is held, nothing leaves"),
		     &q->config->domains_origin);
}

static void
explain_signing(struct question *q)
{
	struct buf domain = BUF(DOMAIN_MAX + 1), answer = BUF(TEXT_MAX), why = BUF(TEXT_MAX);
	const struct dkim_conf *d;

	if (q->from.domain.n > 0 && !domain_canonical(&domain, q->from.domain))
		buf_clear(&domain);
	d = dkim_choose(q->config, buf_str(&domain), &why);
	if (d == NULL) {
		buf_addz(&answer, "none: ");
		buf_add(&answer, buf_str(&why));
	} else {
		buf_addz(&answer, "d=");
		buf_add(&answer, d->domain);
		for (size_t i = 0; i < d->n_keys; i++) {
			buf_addz(&answer, i == 0 ? " s=" : ",");
			buf_add(&answer, d->keys[i].selector);
		}
	}
	tell(q, "signature", buf_str(&answer), d != NULL ? &d->origin : NULL);
	buf_free(&domain);
	buf_free(&answer);
	buf_free(&why);
}

static void
explain_route(struct question *q)
{
	struct buf   lane = BUF(DOMAIN_MAX + 1), answer = BUF(TEXT_MAX);
	struct route r;

	if (q->to.domain.n == 0 || !domain_canonical(&lane, q->to.domain)) {
		buf_free(&lane);
		return;
	}
	r = route_find(q->config, buf_str(&lane));
	if (r.direct) {
		buf_addz(&answer, "the MX hosts of ");
		buf_add(&answer, r.host);
	} else {
		buf_addz(&answer, "smarthost ");
		buf_add(&answer, r.host);
		buf_addf(&answer, ":%u%s", r.port,
		         r.tls == ROUTE_OPPORTUNISTIC ? "" : ", verified TLS");
		if (r.user.n > 0) {
			buf_addz(&answer, ", as ");
			buf_add(&answer, r.user);
		}
	}
	tell(q, "route", buf_str(&answer), r.by != NULL ? &r.by->origin : NULL);
	tell(q, "lane", buf_str(&lane), NULL);
	buf_free(&lane);
	buf_free(&answer);
}

static void
complete(struct question *q, enum address_error *error, struct address *a)
{
	if (*error != ADDRESS_NO_DOMAIN)
		return;
	a->domain = policy_own_domain(q->config);
	*error = ADDRESS_OK;
}

/* "ann@example.com" or "<ann@example.com>"; "<>" and "" are the null address. */
static enum address_error
read_address(const char *word, struct address *a)
{
	struct str s = str_of(word);

	*a = (struct address){0};
	if (s.n == 0)
		return ADDRESS_OK;
	return s.p[0] == '<' ? address_parse_path(&s, a) : address_parse(s, a);
}

static void
print(struct question *q)
{
	if (q->c->json) {
		json_close(&q->json, ']');
		json_bool(&q->json, "accepted", q->accepted);
		json_bool(&q->json, "held", config_is_capture(q->config));
		json_close(&q->json, '}');
		buf_addc(&q->out, '\n');
	} else {
		buf_addz(&q->out, !q->accepted ? "The mail would be refused.\n"
		                  : config_is_capture(q->config)
		                          ? "The mail would be accepted and held.\n"
		                          : "The mail would be accepted.\n");
	}
	fwrite(q->out.p, 1, q->out.n, stdout);
}

static void
explain(struct question *q)
{
	q->out = BUF(64 * 1024);
	q->text = BUF(POLICY_TEXT_MAX);
	q->json.out = &q->out;
	q->accepted = true;
	if (q->c->json) {
		json_open(&q->json, NULL, '{');
		json_open(&q->json, "steps", '[');
	}
	complete(q, &q->from_error, &q->from);
	complete(q, &q->to_error, &q->to);
	explain_policy(q);
	explain_signing(q);
	explain_route(q);
	print(q);
	buf_free(&q->out);
	buf_free(&q->text);
}

static bool
offers_auth(const struct config *c)
{
	for (size_t i = 0; i < c->n_listens; i++)
		if (c->listens[i].auth)
			return true;
	return false;
}

int
cmd_explain(struct cmd *c)
{
	struct question q = {.c = c};
	const char     *client = cmd_option(c, "client"), *login = cmd_option(c, "login");
	const char     *from = cmd_option(c, "from"), *to = cmd_option(c, "to");

	if (client == NULL || from == NULL || to == NULL)
		return cmd_usage(c, "--client, --from and --to are needed");
	if (!cmd_end(c))
		return CMD_USAGE;
	if (!addr_parse(str_of(client), &q.policy.client))
		return cmd_usage(c, "--client takes an IP address");
	if ((q.config = cmd_load(c)) == NULL)
		return CMD_CONFIG;
	q.policy.config = q.config;
	q.policy.login = str_of(login);
	q.policy.can_login = offers_auth(q.config);
	q.from_error = read_address(from, &q.from);
	q.to_error = read_address(to, &q.to);
	explain(&q);
	config_unref(q.config);
	return q.accepted ? CMD_OK : CMD_FAILED;
}
