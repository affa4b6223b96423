/* SPDX-License-Identifier: ISC */
/* config_check - what only shows when all directives are known. */
#include <string.h>
#include <sys/un.h>

#include "lib/proc/config_private.h"

bool
config_has_logins(const struct config *c)
{
	return c->users_path.n > 0 || c->saslauthd.n > 0;
}

/* ":25" makes two listeners of one word; a problem of both is told once. */
static bool
same_word(const struct origin *a, const struct origin *b)
{
	return a->file != NULL && b->file != NULL && strcmp(a->file, b->file) == 0 &&
	       a->line == b->line && a->column == b->column;
}

/* Linux refuses a wildcard beside one address of the same port while both listen. */
static bool
overlap(struct addr a, struct addr b)
{
	return a.family == b.family && a.port == b.port &&
	       (addr_equal(a, b) || addr_is_any(a) || addr_is_any(b));
}

static void
check_conflict(struct maker *m, size_t at)
{
	const struct config *c = m->c;
	struct buf           mine = BUF(128), theirs = BUF(128);

	for (size_t i = 0; i < at; i++) {
		if (!overlap(c->listens[i].addr, c->listens[at].addr))
			continue;
		addr_format_port(&mine, c->listens[at].addr);
		addr_format_port(&theirs, c->listens[i].addr);
		conf_problem(m, CONF_ERROR, conf_place(m, &c->listens[at].origin),
		             "%s cannot be opened beside %s (line %u)", buf_z(&mine),
		             buf_z(&theirs), c->listens[i].origin.line);
		break;
	}
	buf_free(&mine);
	buf_free(&theirs);
}

static bool
trusts_others(const struct config *c)
{
	for (size_t i = 0; i < c->n_trusts; i++)
		if (!addr_is_loopback(c->trusts[i].net.addr))
			return true;
	return false;
}

/* Each listener must be of use to somebody, and not to everybody. */
static void
check_listener(struct maker *m, const struct listen_conf *l)
{
	const struct config *c = m->c;
	struct place         at = conf_place(m, &l->origin);
	bool                 loopback = addr_is_loopback(l->addr);

	if (l->tls != LISTEN_PLAIN && c->n_tls == 0) {
		conf_problem(m, CONF_ERROR, at,
		             "this listener speaks TLS, but there is no certificate");
		conf_hint(
			m,
			"add tls CERT.pem KEY.pem, or a folder with fullchain.pem and privkey.pem");
	}
	if (l->tls_required && l->tls == LISTEN_PLAIN) {
		conf_problem(m, CONF_ERROR, at, "tls-required without \"tls\" or \"starttls\"");
	} else if (l->auth && l->tls == LISTEN_PLAIN && !loopback) {
		conf_problem(m, CONF_ERROR, at, "passwords would cross the network in the clear");
		conf_hint(m, "auth beyond loopback needs \"starttls\" or \"tls\"");
	}
	if (l->auth && !config_has_logins(c)) {
		conf_problem(m, CONF_ERROR, at, "auth is offered, but nobody is known");
		conf_hint(m, "add users /etc/postern/users, filled by `postern user add NAME`");
	} else if (!loopback && !l->auth && !trusts_others(c) && !m->trust_doubtful) {
		conf_problem(m, CONF_ERROR, at,
		             "strangers reach this listener, and nobody may send through it");
		conf_hint(
			m,
			"add \"starttls auth\" here and users, or trust the networks of your clients");
	}
}

static void
check_listeners(struct maker *m)
{
	const struct config *c = m->c;

	for (size_t i = 0; i < c->n_listens; i++) {
		check_conflict(m, i);
		if (i == 0 || !same_word(&c->listens[i].origin, &c->listens[i - 1].origin))
			check_listener(m, &c->listens[i]);
	}
}

/* "none" on a line of its own, and networks on others. */
static void
check_none(struct maker *m)
{
	const struct row *trust = conf_row_find(conf_rows, STR("trust"));

	for (size_t i = 0; i < m->tree->n_nodes && m->c->n_trusts > 0; i++) {
		const struct node *n = &m->tree->nodes[i];

		if (n->row == trust && n->n == 1 && str_eq(n->words[0].text, STR("none")) &&
		    n->from_env == conf_from_env(m->tree, trust))
			conf_problem(m, CONF_ERROR, n->words[0].at,
			             "\"none\" does not go with other networks");
	}
}

/* The word behind the keyword of a directive. */
static struct place
value_place(const struct maker *m, const char *name)
{
	const struct row *row = conf_row_find(conf_rows, str_of(name));

	/* The last that set it is the one in force: the environment stands behind the files. */
	for (size_t i = m->tree->n_nodes; i-- > 0;)
		if (m->tree->nodes[i].row == row && m->tree->nodes[i].n > 0)
			return m->tree->nodes[i].words[0].at;
	return (struct place){0};
}

/* In capture mode nothing leaves, and any name will do. */
static void
check_hostname(struct maker *m)
{
	const struct config *c = m->c;
	bool                 own = c->hostname_origin.file != NULL;

	if (c->domains.n == 0 || str_find(c->hostname, '.') >= 0)
		return;
	conf_problem(m, CONF_ERROR, value_place(m, own ? "hostname" : "domains"),
	             own ? "\"%.*s\" is no full host name, and receivers refuse such servers"
	                 : "this machine calls itself \"%.*s\", and receivers refuse such servers",
	             S(c->hostname));
	conf_hint(m, own ? "write hostname mail.example.com" : "add hostname mail.example.com");
}

/* Only a warning: otherwise `postern user add` could not read the configuration it serves. */
static void
check_users(struct maker *m)
{
	const struct config *c = m->c;

	for (size_t i = 0; i < c->n_user && c->saslauthd.n == 0; i++) {
		const struct user_conf *u = &c->user[i];

		if (c->users_path.n > 0 &&
		    (str_eq(u->name, STR("*")) || conf_users_has(c->users_text, u->name)))
			continue;
		conf_problem(m, CONF_WARNING, conf_place(m, &u->origin), "%.*s cannot log in: %s",
		             S(u->name),
		             c->users_path.n > 0 ? "the users file does not know the name"
		                                 : "there is no users file");
		conf_hint(m, "`postern user add %.*s`", S(u->name));
	}
}

/* The key of the domain itself or of the nearest one above it signs. */
static bool
has_key(const struct config *c, struct str domain)
{
	for (;;) {
		ptrdiff_t dot;

		for (size_t i = 0; i < c->n_dkim; i++)
			if (c->dkim[i].n_keys > 0 && str_eq(c->dkim[i].domain, domain))
				return true;
		if ((dot = str_find(domain, '.')) < 0)
			return false;
		domain = str_skip(domain, (size_t)dot + 1);
	}
}

static void
check_signing(struct maker *m)
{
	const struct config *c = m->c;

	for (size_t i = 0; i < c->domains.n && c->dkim_sign; i++) {
		struct str d = c->domains.v[i];

		if (str_starts(d, STR("*.")))
			d = str_skip(d, 2);
		if (str_eq(d, STR("*")) || has_key(c, d))
			continue;
		conf_problem(m, CONF_WARNING, value_place(m, "domains"),
		             "mail from %.*s will not be signed: there is no key", S(d));
		conf_hint(m, "`postern dkim new %.*s` makes one, or write dkim-sign off", S(d));
	}
}

static void
check_times(struct maker *m)
{
	const struct config *c = m->c;

	if (c->n_retry > 0 && c->expire_ms > 0 && c->expire_ms < c->retry_ms[0]) {
		conf_problem(m, CONF_WARNING, value_place(m, "expire"),
		             "mail would expire before its second attempt");
		conf_hint(m, "the first wait of \"retry\" is longer");
	}
}

static void
check_paths(struct maker *m)
{
	const struct config *c = m->c;

	if (str_eq(c->spool, c->state))
		conf_problem(m, CONF_ERROR, value_place(m, "spool"),
		             "\"spool\" and \"state\" cannot be the same folder");
	if (c->control.n >= sizeof((struct sockaddr_un *)NULL)->sun_path)
		conf_problem(m, CONF_ERROR, value_place(m, "control"),
		             "this path is too long for a socket (at most %zu octets)",
		             sizeof((struct sockaddr_un *)NULL)->sun_path - 1);
}

void
conf_check(struct maker *m)
{
	check_listeners(m);
	check_none(m);
	check_hostname(m);
	check_users(m);
	check_signing(m);
	check_times(m);
	check_paths(m);
	conf_owner_check(m);
}
