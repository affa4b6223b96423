/* SPDX-License-Identifier: ISC */
#include "tests/unit/doctor/answers.h"

#include <stdlib.h>

#include "lib/util/mem.h"

enum { TEXT_MAX = 1 << 20, RECORDS = 64, CNAMES = 8 };

static const struct {
	const char   *name;
	enum dns_type type;
} types[] = {{"A", DNS_A},     {"AAAA", DNS_AAAA}, {"MX", DNS_MX},   {"PTR", DNS_PTR},
             {"TXT", DNS_TXT}, {"NS", DNS_NS},     {"SOA", DNS_SOA}, {"CNAME", DNS_CNAME}};

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
	bool               exists, timeout;
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

static void
ask(void *arg, struct fact *f)
{
	struct answers   *a = arg;
	struct dns_record records[RECORDS];
	struct look l = {buf_str(&f->name), f->server, f->type, records, 0, false, false, STR_NONE};
	struct buf  name = BUF(4096);
	struct dns_answer answer = {.records = records, .why = "stand-in"};

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
	answer.status = l.n > 0     ? DNS_OK
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
