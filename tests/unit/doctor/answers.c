/* SPDX-License-Identifier: ISC */
#include "tests/unit/doctor/answers.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"

enum { TEXT_MAX = 1 << 20, RECORDS = 64, CNAMES = 8 };

static const struct {
	const char   *name;
	enum dns_type type;
} types[] = {{"A", DNS_A},       {"AAAA", DNS_AAAA},
             {"MX", DNS_MX},     {"PTR", DNS_PTR},
             {"TXT", DNS_TXT},   {"NS", DNS_NS},
             {"SOA", DNS_SOA},   {"CNAME", DNS_CNAME},
             {"TLSA", DNS_TLSA}, {"SPF", (enum dns_type)99}};

void
answers_init(struct answers *a)
{
	buf_init(&a->text, TEXT_MAX);
}

void
answers_free(struct answers *a)
{
	buf_free(&a->text);
}

void
answers_add(struct answers *a, struct str line)
{
	buf_add(&a->text, line);
	buf_addc(&a->text, '\n');
}

static struct str
no_dot(struct str name)
{
	return name.n > 0 && name.p[name.n - 1] == '.' ? str_sub(name, 0, name.n - 1) : name;
}

static void
fill(struct dns_record *r, struct str value)
{
	uint64_t n = 0;

	switch ((int)r->type) {
	case DNS_A:
	case DNS_AAAA:
		if (!addr_parse(value, &r->addr))
			abort();
		break;
	case DNS_MX:
		if (!str_number(str_word(&value), 65535, &n))
			abort();
		r->preference = (unsigned)n;
		r->name = no_dot(str_trim(value));
		break;
	case DNS_TXT:
	case DNS_TLSA:
	case 99:
		r->data = value;
		break;
	default:
		r->name = no_dot(value);
		break;
	}
}

/* What of the text is about `name`, as seen by `server`: the records of `type` go to `found`. */
struct look {
	struct str         name;
	struct addr        server;
	enum dns_type      type;
	struct dns_record *found;
	size_t             n;
	bool               exists, timeout, bogus, secure;
	struct str         alias;
};

static void
take(struct look *l, struct str type, struct str value)
{
	l->exists = true;
	if (str_eq(type, STR("CNAME")))
		l->alias = no_dot(value);
	if (str_eq(type, STR("TIMEOUT")))
		l->timeout = true;
	if (str_eq(type, STR("BOGUS")))
		l->bogus = true;
	if (str_eq(type, STR("SECURE")))
		l->secure = true;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].type == l->type && str_eq(type, str_of(types[i].name)) &&
		    l->n < RECORDS) {
			l->found[l->n] = (struct dns_record){.type = l->type, .ttl_s = 60};
			fill(&l->found[l->n++], value);
		}
}

static void
look(struct look *l, struct str text)
{
	struct str line, name, type;

	while (str_cut(&text, '\n', &line)) {
		struct addr only = {0};

		name = str_word(&line);
		if (name.n > 0 && name.p[0] == '@') {
			if (!addr_parse(str_skip(name, 1), &only))
				abort();
			name = str_word(&line);
			if (!addr_equal(only, l->server))
				continue;
		}
		type = str_word(&line);
		if (str_ieq(name, l->name))
			take(l, type, line.n > 0 ? str_skip(line, 1) : line);
	}
}

/* ---- conversations ---- */

/* Does "talk:RCPT_TO:<abuse" stand for this command of this kind of conversation? */
static bool
is_said_to(struct str name, const char *kind, struct str command)
{
	if (!str_starts(name, str_of(kind)))
		return false;
	name = str_skip(name, strlen(kind));
	if (name.n > command.n)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] != (command.p[i] == ' ' ? '_' : command.p[i]))
			return false;
	return name.n > 0 || command.n == 0;
}

/* The first line that says something to the command; false: "NAME DEAD", there is no connection. */
static bool
reply(const struct answers *a, const struct fact *f, struct str command, struct dns_record *r)
{
	const char *kind = (int)f->type == FACT_VISIT ? "visit:" : "talk:";
	struct str  text = buf_str(&a->text), line, name, word;
	struct addr only;
	uint64_t    code;

	while (str_cut(&text, '\n', &line)) {
		name = str_word(&line);
		if (name.n > 0 && name.p[0] == '@') {
			if (!addr_parse(str_skip(name, 1), &only))
				abort();
			name = str_word(&line);
			if (!addr_equal(only, f->server))
				continue;
		}
		if (!is_said_to(name, kind, command))
			continue;
		word = str_word(&line);
		if (str_eq(word, STR("DEAD")))
			return false;
		if (!str_eq(word, STR("SAYS")) || !str_number(str_word(&line), 599, &code))
			abort();
		r->preference = (unsigned)code;
		r->data = str_trim(line);
		return true;
	}
	r->preference = command.n == 0                                                   ? 220
	                : (int)f->type == FACT_VISIT && str_starts(command, STR("RCPT")) ? 550
	                                                                                 : 250;
	r->data = STR("said by nobody");
	return true;
}

/* Everything is accepted, and strangers at our own listeners are not, unless a line says otherwise. */
static void
talk(const struct answers *a, struct fact *f)
{
	struct dns_record records[RECORDS] = {0};
	struct str        rest = buf_str(&f->name), line = STR_NONE, words;
	struct dns_answer answer = {.records = records};

	do {
		struct dns_record *r = &records[answer.n];

		if (line.n > 0 && line.p[0] == '!')
			continue;
		words = line;
		r->name = str_word(&words);
		answer.n++;
		if (!reply(a, f, line, r)) {
			answer = (struct dns_answer){.status = DNS_TEMPFAIL, .why = "refused"};
			break;
		}
		answer.n -= r->preference == 0;
		if (r->preference == 0 || (answer.n == 1 && r->preference != 220))
			break;
	} while (answer.n < RECORDS && str_cut(&rest, '\n', &line));
	fact_put(f, &answer);
}

static void
ask(void *arg, struct fact *f)
{
	struct answers   *a = arg;
	struct dns_record records[RECORDS];
	struct look       l = {.server = f->server, .type = f->type, .found = records};
	struct buf        name = BUF(4096);
	struct dns_answer answer = {.records = records, .why = "stand-in"};

	if (fact_is_talk(f)) {
		talk(a, f);
		return;
	}
	fact_name(&name, f);
	l.name = buf_str(&name);
	for (int i = 0; i < CNAMES; i++) {
		look(&l, buf_str(&a->text));
		if (l.n > 0 || l.alias.n == 0)
			break;
		l.name = l.alias;
		l.alias = STR_NONE;
		l.exists = false;
	}
	answer.n = l.n;
	answer.secure = l.secure;
	answer.status = l.bogus     ? DNS_BOGUS
	                : l.n > 0   ? DNS_OK
	                : l.timeout ? DNS_TEMPFAIL
	                : l.exists  ? DNS_NODATA
	                            : DNS_NXDOMAIN;
	fact_put(f, &answer);
	buf_free(&name);
}

struct facts *
answers_facts(struct answers *a)
{
	return facts_create(&(struct facts_source){ask, a});
}
