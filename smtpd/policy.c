/* SPDX-License-Identifier: ISC */
#include "smtpd/policy.h"

#include "lib/proc/config.h"

#define ANY_USER "*"

/* Who the client is, as far as the right to send goes. */
struct standing {
	const struct trust_conf *trust; /* the narrowest network that holds the client */
	const struct user_conf  *user;  /* the login's own block */
	bool                     ok;
};

static struct addr
normal(struct addr a)
{
	addr_unmap(&a);
	return a;
}

static const struct trust_conf *
find_trust(const struct config *c, struct addr client)
{
	const struct trust_conf *best = NULL;

	for (size_t i = 0; i < c->n_trusts; i++)
		if (cidr_has(&c->trusts[i].net, client) &&
		    (best == NULL || c->trusts[i].net.bits > best->net.bits))
			best = &c->trusts[i];
	return best;
}

/* What saslauthd asks may take any case: another spelling must not be a way around the block. */
static const struct user_conf *
find_user(const struct config *c, struct str login)
{
	const struct user_conf *near = NULL, *any = NULL;

	for (size_t i = 0; i < c->n_user; i++) {
		if (str_eq(c->user[i].name, STR(ANY_USER)))
			any = &c->user[i];
		else if (str_eq(c->user[i].name, login))
			return &c->user[i];
		else if (near == NULL && str_ieq(c->user[i].name, login))
			near = &c->user[i];
	}
	return near != NULL ? near : any;
}

static struct standing
stand(const struct policy *p)
{
	struct standing st = {0};

	st.trust = find_trust(p->config, normal(p->client));
	if (p->login.n > 0)
		st.user = find_user(p->config, p->login);
	st.ok = st.trust != NULL || p->login.n > 0;
	return st;
}

static struct verdict
allow(const char *why, const struct origin *origin)
{
	return (struct verdict){REPLY(250, 2, 0, 0, "ok"), why, origin};
}

/*
 * The text has been written. No control octet from an address may reach the reply line, and nothing
 * beyond ASCII either: who has not asked for SMTPUTF8 could not read it.
 */
static struct verdict
refuse(struct reply kind, const char *why, const struct origin *origin, struct buf *text)
{
	for (size_t i = 0; i < text->n; i++)
		if ((unsigned char)text->p[i] < ' ' || (unsigned char)text->p[i] >= 0x7f)
			text->p[i] = '?';
	kind.text = buf_str(text);
	return (struct verdict){kind, why, origin};
}

static void
add_mailbox(struct buf *text, struct address a)
{
	buf_addc(text, '<');
	address_format(text, a);
	buf_addc(text, '>');
}

static void
add_who(struct buf *text, const struct policy *p)
{
	if (p->login.n > 0) {
		buf_addz(text, "login ");
		buf_add(text, str_sub(p->login, 0, 64));
		buf_addz(text, " at ");
	}
	addr_format(text, normal(p->client));
}

/* An address in the form that patterns are compared with; `scratch` holds the domain. */
static bool
canonical(struct address *a, struct buf *scratch)
{
	if (!domain_canonical(scratch, a->domain))
		return false;
	a->domain = buf_str(scratch);
	return true;
}

static bool
matches_any(struct address a, const struct strs *patterns)
{
	for (size_t i = 0; i < patterns->n; i++)
		if (address_matches(a, patterns->v[i]))
			return true;
	return false;
}

/* The send-as table: the narrowest rule that exists decides alone. */
static const struct strs *
send_as(const struct policy *p, const struct standing *st, const struct origin **origin)
{
	if (st->user != NULL && st->user->from.n > 0) {
		*origin = &st->user->origin;
		return &st->user->from;
	}
	if (p->login.n == 0 && st->trust != NULL && st->trust->from.n > 0) {
		*origin = &st->trust->origin;
		return &st->trust->from;
	}
	*origin = &p->config->domains_origin;
	return &p->config->domains;
}

static struct verdict
refuse_from(const struct policy *p, struct str what, struct address a, struct buf *text)
{
	struct standing      st = stand(p);
	const struct origin *origin;
	const struct strs   *table = send_as(p, &st, &origin);

	buf_clear(text);
	buf_add(text, what);
	buf_addc(text, ' ');
	add_mailbox(text, a);
	buf_addz(text, " is not allowed for ");
	add_who(text, p);
	buf_addz(text, ": add \"");
	if (table == &p->config->domains) {
		buf_add(text, a.domain);
		buf_addz(text, "\" to \"domains\"");
	} else {
		address_format(text, a);
		buf_addz(text, p->login.n > 0 ? "\" to \"from\" of this user"
		                              : "\" to \"from\" of this network");
	}
	buf_addz(text, " (");
	policy_format_origin(text, origin);
	buf_addc(text, ')');
	return refuse(REPLY(550, 5, 7, 1, ""), "sender-refused", origin, text);
}

static struct verdict
check_from(const struct policy *p, struct str what, struct address a, struct buf *text)
{
	struct standing      st = stand(p);
	const struct origin *origin;
	const struct strs   *table;
	struct buf           scratch = BUF(DOMAIN_MAX + 1);
	struct address       plain = a;
	struct verdict       v;

	if (config_is_capture(p->config))
		return allow("capture", NULL);
	table = send_as(p, &st, &origin);
	if (a.domain.n > 0 && canonical(&plain, &scratch) && matches_any(plain, table))
		v = allow("send-as", origin);
	else
		v = refuse_from(p, what, a, text);
	buf_free(&scratch);
	return v;
}

/* What is wrong with an address before anybody asks who may use it. */
static struct verdict
check_form(struct str what, enum address_error error, struct address a, struct buf *text)
{
	bool to = str_eq(what, STR("recipient"));

	buf_clear(text);
	buf_add(text, what);
	switch (error) {
	case ADDRESS_OK:
		break;
	case ADDRESS_SYNTAX:
		buf_addz(text, " address is not valid: write <local@domain>");
		return refuse(to ? REPLY(501, 5, 1, 3, "") : REPLY(501, 5, 1, 7, ""), "bad-address",
		              NULL, text);
	case ADDRESS_TOO_LONG:
		buf_addz(text, " address is too long: 64 octets before the @, 254 in all");
		return refuse(to ? REPLY(501, 5, 1, 3, "") : REPLY(501, 5, 1, 7, ""), "bad-address",
		              NULL, text);
	case ADDRESS_SOURCE_ROUTE:
		buf_addz(text, " address has a source route: write <local@domain> alone");
		return refuse(REPLY(550, 5, 7, 1, ""), "source-route", NULL, text);
	case ADDRESS_NO_DOMAIN:
		buf_addc(text, ' ');
		add_mailbox(text, a);
		buf_addz(text, " has no domain: write <local@domain>");
		return refuse(to ? REPLY(550, 5, 1, 3, "") : REPLY(550, 5, 1, 7, ""), "unqualified",
		              NULL, text);
	}
	if (!address_has_hidden_route(a))
		return allow("form", NULL);
	buf_addc(text, ' ');
	add_mailbox(text, a);
	buf_addz(text, " hides a second route (%, ! or a quoted @): write where it really goes");
	return refuse(REPLY(550, 5, 7, 1, ""), "hidden-route", NULL, text);
}

struct verdict
policy_client(const struct policy *p, struct buf *text)
{
	struct standing st = stand(p);

	if (p->login.n > 0)
		return allow("login", st.user != NULL ? &st.user->origin : NULL);
	if (st.trust != NULL)
		return allow("trusted", &st.trust->origin);
	buf_clear(text);
	buf_addz(text, "relaying denied for ");
	addr_format(text, normal(p->client));
	buf_addz(text, ": add it to \"trust\" (");
	policy_format_origin(text, &p->config->trust_origin);
	buf_addz(text, p->can_login ? ") or log in" : ")");
	return refuse(REPLY(550, 5, 7, 1, ""), "relay-denied", &p->config->trust_origin, text);
}

struct verdict
policy_sender(const struct policy *p, enum address_error error, struct address a, struct buf *text)
{
	struct verdict v = check_form(STR("sender"), error, a, text);

	if (!policy_is_ok(v))
		return v;
	if (address_is_null(a))
		return allow("null-sender", NULL);
	if (!stand(p).ok)
		return allow("stranger", NULL);
	return check_from(p, STR("sender"), a, text);
}

struct verdict
policy_recipient(const struct policy *p, enum address_error error, struct address a,
                 struct buf *text)
{
	struct buf     scratch = BUF(DOMAIN_MAX + 1);
	struct address plain = a;
	struct verdict form, client = policy_client(p, text);

	/* A stranger hears only that he may not relay: his tricks are not worth a lesson. */
	if (!policy_is_ok(client))
		return client;
	if (error == ADDRESS_OK && (address_is_null(a) || !canonical(&plain, &scratch)))
		error = ADDRESS_SYNTAX;
	form = check_form(STR("recipient"), error, a, text);
	buf_free(&scratch);
	return policy_is_ok(form) ? client : form;
}

struct verdict
policy_header(const struct policy *p, struct str field, struct address a, struct buf *text)
{
	return check_from(p, field, a, text);
}

static void
add_limit(struct buf *out, const struct rate_conf *r)
{
	buf_addn(out, r->count);
	buf_addc(out, '/');
	buf_addn(out, (uint64_t)r->per_ms);
	buf_addc(out, ' ');
}

/* Another spelling of a login is no other login; of "*" each has its own count. */
static void
add_pace_key(struct buf *out, const struct policy *p, const struct standing *st)
{
	if (p->login.n == 0) {
		buf_addz(out, "network ");
		cidr_format(out, &st->trust->net);
		return;
	}
	buf_addz(out, "login ");
	if (!str_eq(st->user->name, STR(ANY_USER))) {
		buf_add(out, st->user->name);
		return;
	}
	for (size_t i = 0; i < p->login.n; i++) {
		char c = p->login.p[i];

		buf_addc(out, c >= 'A' && c <= 'Z' ? (char)(c + 32) : c);
	}
}

static const struct rate_conf *
limits(const struct policy *p, const struct standing *st, const struct rate_conf **quota)
{
	static const struct rate_conf none = {0, 0};

	*quota = &none;
	if (p->login.n > 0 && st->user != NULL) {
		*quota = &st->user->quota;
		return &st->user->rate;
	}
	if (p->login.n == 0 && st->trust != NULL) {
		*quota = &st->trust->quota;
		return &st->trust->rate;
	}
	return &none;
}

void
policy_pace(const struct policy *p, struct buf *out)
{
	struct standing         st = stand(p);
	const struct rate_conf *quota, *rate = limits(p, &st, &quota);

	if (rate->count == 0 && quota->count == 0)
		return;
	add_limit(out, rate);
	add_limit(out, quota);
	add_pace_key(out, p, &st);
}

uint64_t
policy_quota(const struct policy *p)
{
	struct standing         st = stand(p);
	const struct rate_conf *quota;

	(void)limits(p, &st, &quota);
	return quota->count;
}

bool
policy_is_ok(struct verdict v)
{
	return v.reply.code == 250;
}

bool
policy_is_local(const struct policy *p)
{
	struct addr client = normal(p->client);

	return addr_is_loopback(client) && find_trust(p->config, client) != NULL;
}

static bool
is_plain(struct str pattern)
{
	return str_find(pattern, '*') < 0 && str_find(pattern, '@') < 0;
}

struct str
policy_own_domain(const struct config *c)
{
	struct str first = STR_NONE;

	for (size_t i = 0; i < c->domains.n; i++) {
		struct str d = c->domains.v[i];

		if (!is_plain(d))
			continue;
		if (domain_is_within(c->hostname, d))
			return d;
		if (first.n == 0)
			first = d;
	}
	return first.n > 0 ? first : c->hostname;
}

/* Without its folders: a stranger need not learn where files are. */
void
policy_format_origin(struct buf *out, const struct origin *o)
{
	struct str file = str_of(o->file);

	if (file.n == 0) {
		buf_addz(out, "postern.conf");
		return;
	}
	buf_add(out, str_skip(file, (size_t)(str_rfind(file, '/') + 1)));
	if (o->line > 0) {
		buf_addc(out, ':');
		buf_addn(out, o->line);
	}
}
