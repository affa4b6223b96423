/* SPDX-License-Identifier: ISC */
/*
 * What spammers try at an open port, tried at our own listeners as if from outside; no way may end
 * in a recipient who is accepted.
 *
 * In this process everything is tried, against the same code and configuration as in the daemon.
 * Over the network, where a listener can be reached at our public address, only the tricks that need no new
 * connection: the daemon counts and logs what it refuses.
 */
#include "doctor/exam.h"

enum { SCRIPT_LIMIT = 4096, NAME_LIMIT = 512, LISTENERS_MAX = 16 };

#define TO   "RCPT TO:<b@elsewhere.example>"
#define FROM "MAIL FROM:<a@outside.example>\n"

/* {us}: a domain of ours, {host}: our name, {ip}: an address of ours. See doctor/talk.h. */
struct trick {
	const char *name;
	const char *hello; /* NULL: the usual one */
	const char *script;
	bool        outside; /* tried over the network, too */
};

/* clang-format off */
static const struct trick tricks[] = {
	{"a stranger to a stranger", NULL, FROM TO, true},
	{"a forged sender of ours", NULL, "MAIL FROM:<postmaster@{us}>\n" TO, true},
	{"a forged sender at our host", NULL, "MAIL FROM:<root@{host}>\n" TO, true},
	{"a sender at our address", NULL, "MAIL FROM:<user@[{ip}]>\n" TO, true},
	{"a sender without domain", NULL, "MAIL FROM:<root>\n" TO, true},
	{"the null sender", NULL, "MAIL FROM:<>\n" TO, true},
	{"a source route", NULL, FROM "RCPT TO:<@{us}:b@elsewhere.example>", true},
	{"the percent hack", NULL, FROM "RCPT TO:<b%25elsewhere.example@{us}>", true},
	{"a bang path", NULL, FROM "RCPT TO:<elsewhere.example!b@{us}>", true},
	{"an address in quotes", NULL, FROM "RCPT TO:<\"b@elsewhere.example\"@{us}>", true},
	{"an address as domain", NULL, FROM "RCPT TO:<b@[198.51.100.25]>", false},
	{"no brackets", NULL, FROM "RCPT TO:b@elsewhere.example", false},
	{"a dot at the end", NULL, FROM "RCPT TO:<b@elsewhere.example.>", false},
	{"a NUL in between", NULL, FROM "RCPT TO:<b@elsewhere.example%00@{us}>", false},
	{"eight bits", NULL, FROM "RCPT TO:<b%E9@elsewhere.example>", false},
	{"capitals", NULL, "MAIL FROM:<POSTMASTER@{us}>\nRCPT TO:<B@ELSEWHERE.EXAMPLE>", false},
	{"a long local part", NULL, FROM "RCPT TO:<bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb@elsewhere.example>", false},
	{"a domain that looks alike", NULL, "MAIL FROM:<postmaster@%D0%B5{us}> SMTPUTF8\n" TO, false},
	{"our own name in EHLO", "EHLO {host}", "MAIL FROM:<postmaster@{us}>\n" TO, false},
	{"loopback in EHLO", "EHLO [127.0.0.1]", "MAIL FROM:<postmaster@{us}>\n" TO, false},
	{"HELO", "HELO localhost", "MAIL FROM:<postmaster@{us}>\n" TO, false},
	{"XCLIENT", NULL, "XCLIENT ADDR=127.0.0.1 NAME=localhost LOGIN=root\nEHLO localhost\nMAIL FROM:<postmaster@{us}>\n" TO, false},
	{"XFORWARD", NULL, "XFORWARD ADDR=127.0.0.1 NAME=localhost SOURCE=LOCAL\nMAIL FROM:<postmaster@{us}>\n" TO, false},
	{"PROXY", "+PROXY TCP4 127.0.0.1 127.0.0.1 40000 25\nEHLO localhost", "MAIL FROM:<postmaster@{us}>\n" TO, false},
	{"a login that failed", NULL, "AUTH PLAIN AHJvb3QAcm9vdA==\nMAIL FROM:<postmaster@{us}>\n" TO, false},
	{"a login not waited for", NULL, "AUTH PLAIN AHJvb3QAcm9vdA==\n+MAIL FROM:<postmaster@{us}>\n+" TO, false},
	{"a login given up", NULL, "AUTH PLAIN\n*\nMAIL FROM:<postmaster@{us}>\n" TO, false},
	{"a mail begun before TLS", NULL, "MAIL FROM:<postmaster@{us}>\nSTARTTLS\n!tls\n" TO, false},
};
/* clang-format on */

/* ---- who comes ---- */

/* Networks of nobody: a visitor from there is a stranger unless `trust` says something. */
static const char *const strangers[] = {"198.51.100.7", "203.0.113.7", "192.0.2.7",
                                        "2001:db8:ffff::7"};

static bool
is_trusted(const struct config *c, struct addr a)
{
	for (size_t i = 0; i < c->n_trusts; i++)
		if (cidr_has(&c->trusts[i].net, a))
			return true;
	return false;
}

/*
 * Number `i` of the tricks comes from an address of its own, so that limits for one client do not
 * hide the answer. If all the world is trusted, so is he, and that is what will be told.
 */
static struct addr
stranger(const struct config *c, size_t i, bool v6)
{
	struct addr a = {0}, candidate;

	for (size_t k = 0; k < ARRAY_LEN(strangers); k++) {
		if (!addr_parse(str_of(strangers[k]), &candidate) || (candidate.family == 6) != v6)
			continue;
		a = candidate;
		if (v6)
			a.ip[6] = (uint8_t)i; /* another /64 */
		else
			a.ip[3] = (uint8_t)(a.ip[3] + i);
		if (!is_trusted(c, a))
			break;
	}
	return a;
}

/* ---- what he says ---- */

static void
add_filled(struct buf *out, const char *template, struct exam *e)
{
	struct str rest = str_of(template), text, word;
	struct buf ip = BUF(64);

	if (e->n_sources > 0)
		addr_format(&ip, e->sources[0]);
	while (rest.n > 0) {
		(void)str_cut(&rest, '{', &text);
		buf_add(out, text);
		if (rest.n == 0 || !str_cut(&rest, '}', &word))
			break;
		if (str_eq(word, STR("us")))
			buf_add(out, e->n_domains > 0 ? e->domains[0] : e->config->hostname);
		else if (str_eq(word, STR("host")))
			buf_add(out, e->config->hostname);
		else
			buf_add(out, ip.n > 0 ? buf_str(&ip) : STR("192.0.2.1"));
	}
	buf_free(&ip);
}

/* As far as a client of this listener has to come before he may say MAIL. */
static void
add_hello(struct buf *out, struct exam *e, const struct listen_conf *l, const char *hello)
{
	if (hello == NULL)
		hello = "EHLO outside.example";
	if (l->tls == LISTEN_TLS)
		buf_addz(out, "!tls\n");
	add_filled(out, hello, e);
	if (l->tls == LISTEN_STARTTLS && l->tls_required) {
		buf_addz(out, "\nSTARTTLS\n!tls\n");
		add_filled(out, "EHLO outside.example", e);
	}
	buf_addc(out, '\n');
}

/* ---- what became of it ---- */

struct battery {
	size_t      visits, decided, listeners; /* in this process */
	size_t      reached;                    /* listeners over the network */
	bool        pending;
	const char *way;   /* the first one that was open */
	struct buf  where; /* the listener that it was open at */
	const char *dead;  /* why a visit came to nothing */
};

/* Did the policy decide: no "later", and no "not now" because of a command before? */
static bool
is_refusal(const struct dns_record *r)
{
	return (str_ieq(r->name, STR("MAIL")) || str_ieq(r->name, STR("RCPT"))) &&
	       r->preference / 100 == 5 && r->preference != 503;
}

/* Was a recipient accepted? `decided`: the conversation came to a decision at all. */
static bool
is_open(struct battery *b, const struct fact *visit, bool *decided)
{
	bool open = false;

	*decided = false;
	for (size_t i = 0; i < visit->n; i++) {
		const struct dns_record *r = &visit->records[i];

		*decided = *decided || is_refusal(r);
		open = open || (str_ieq(r->name, STR("RCPT")) && r->preference / 100 == 2);
	}
	if (visit->status != DNS_OK && b->dead == NULL)
		b->dead = visit->why;
	return open;
}

static void
note_open(struct battery *b, const char *way, struct addr at)
{
	if (b->way != NULL)
		return;
	b->way = way;
	addr_format_port(&b->where, at);
}

static void
visit(struct exam *e, struct battery *b, size_t index, size_t trick, bool v6)
{
	const struct listen_conf *l = &e->config->listens[index];
	struct addr               client = stranger(e->config, trick, v6);
	struct buf                script = BUF(SCRIPT_LIMIT);
	const struct fact        *f;
	bool                      decided;

	/* The PROXY header goes before TLS, or is no trick. */
	if (l->tls == LISTEN_TLS && tricks[trick].hello != NULL && tricks[trick].hello[0] == '+')
		return;
	client.port = (uint16_t)index;
	add_hello(&script, e, l, tricks[trick].hello);
	add_filled(&script, tricks[trick].script, e);
	f = facts_visit(e->facts, client, buf_str(&script));
	buf_free(&script);
	b->visits++;
	b->pending = b->pending || !f->known;
	if (is_open(b, f, &decided))
		note_open(b, tricks[trick].name, l->addr);
	b->decided += decided;
}

/* Listeners of one kind have one answer. */
static bool
is_like_another(const struct config *c, size_t index)
{
	const struct listen_conf *l = &c->listens[index];

	for (size_t i = 0; i < index; i++) {
		const struct listen_conf *o = &c->listens[i];

		if (o->tls == l->tls && o->auth == l->auth && o->tls_required == l->tls_required &&
		    o->auth_required == l->auth_required &&
		    addr_is_loopback(o->addr) == addr_is_loopback(l->addr))
			return true;
	}
	return false;
}

static void
try_inside(struct exam *e, struct battery *b)
{
	for (size_t i = 0; i < e->config->n_listens && i < LISTENERS_MAX; i++) {
		if (is_like_another(e->config, i))
			continue;
		b->listeners++;
		for (size_t k = 0; k < ARRAY_LEN(tricks); k++)
			visit(e, b, i, k, false);
		for (size_t k = 0; k < ARRAY_LEN(tricks); k++)
			if (tricks[k].outside)
				visit(e, b, i, k, true);
	}
}

/* ---- over the network ---- */

static void
knock(struct exam *e, struct battery *b, const struct listen_conf *l, struct addr source)
{
	struct buf         script = BUF(SCRIPT_LIMIT);
	const struct fact *f;
	bool               decided;

	source.port = l->addr.port;
	add_hello(&script, e, l, NULL);
	for (size_t k = 0; k < ARRAY_LEN(tricks); k++)
		if (tricks[k].outside) {
			add_filled(&script, tricks[k].script, e);
			buf_addz(&script, "\nRSET\n");
		}
	buf_truncate(&script, script.n - 1);
	f = facts_talk(e->facts, source, buf_str(&script));
	buf_free(&script);
	b->pending = b->pending || !f->known;
	if (is_open(b, f, &decided))
		note_open(b, "over the network, from this machine", source);
	b->reached += decided;
}

/*
 * From this machine to its public address: whom the daemon then sees is, without a NAT, that address itself, and
 * if it is trusted that tells nothing about strangers.
 */
static void
try_outside(struct exam *e, struct battery *b)
{
	for (size_t i = 0; i < e->config->n_listens && i < LISTENERS_MAX; i++) {
		const struct listen_conf *l = &e->config->listens[i];

		for (size_t k = 0; k < e->n_sources; k++)
			if (exam_is_public(e->sources[k]) &&
			    !is_trusted(e->config, e->sources[k]) &&
			    (addr_is_any(l->addr) || addr_equal(l->addr, e->sources[k])))
				knock(e, b, l, e->sources[k]);
	}
}

void
check_relay_open(struct exam *e, const struct subject *s, struct finding *f)
{
	struct battery b = {.where = BUF(NAME_LIMIT)};

	(void)s;
	try_inside(e, &b);
	if (exam_may_connect(e))
		try_outside(e, &b);
	if (b.way != NULL) {
		finding_say(f, CHECK_FAIL, "strangers can send through the listener %s: %s",
		            buf_z(&b.where), b.way);
		finding_fix(
			f,
			"Narrow `trust` to the machines that send, and let everybody else log in.");
	} else if (b.visits == 0) {
		finding_say(f, CHECK_SKIP, "there is no listener");
	} else if (b.decided + b.reached == 0 && !b.pending) {
		finding_say(f, CHECK_SKIP, "no listener could be tried: %s",
		            b.dead != NULL ? b.dead : "none comes to a decision");
	} else {
		if (b.decided == 0)
			b.listeners = 0; /* none in here came to a decision: only the network counts */
		finding_say(
			f, CHECK_PASS,
			"none of %zu tricks of strangers got through (at %zu listener%s in this process and %zu over the network)",
			b.decided, b.listeners, b.listeners == 1 ? "" : "s",
			b.reached);
	}
	buf_free(&b.where);
}
