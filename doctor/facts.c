/* SPDX-License-Identifier: ISC */
#include "doctor/facts.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	FACTS_MAX = 40000, /* a thousand domains with ten keys are below */
	NAME_MAX_OCTETS = 253,
	LABEL_MAX = 63,
};

struct facts {
	struct facts_source source;
	struct fact       **v; /* in the order of asking */
	struct hash         by_name;
	size_t              n, room, missing;
	bool                given_up;
};

static const struct dns_answer no_answer = {.status = DNS_TEMPFAIL,
                                            .why = "no answer from the name servers in time"};

struct facts *
facts_create(const struct facts_source *source)
{
	struct facts *f = mem_zero(sizeof *f);

	f->source = *source;
	return f;
}

static void
fact_free(struct fact *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free((void *)(uintptr_t)f->records[i].name.p);
		free((void *)(uintptr_t)f->records[i].data.p);
	}
	free(f->records);
	buf_free(&f->name);
	free(f);
}

void
facts_destroy(struct facts *f)
{
	if (f == NULL)
		return;
	for (size_t i = 0; i < f->n; i++)
		fact_free(f->v[i]);
	hash_free(&f->by_name);
	free(f->v);
	free(f);
}

static bool
is_possible(struct str name)
{
	struct str label, rest = name;

	if (name.n == 0 || name.n > NAME_MAX_OCTETS || name.p[name.n - 1] == '.')
		return false;
	while (str_cut(&rest, '.', &label))
		if (label.n == 0 || label.n > LABEL_MAX)
			return false;
	return true;
}

static bool
is_talk(enum dns_type type)
{
	return (int)type == FACT_TALK || (int)type == FACT_VISIT;
}

static bool
is_about(const struct fact *a, struct addr server, struct str name, enum dns_type type)
{
	if (a->type != type || !addr_equal(a->server, server) || a->server.port != server.port)
		return false;
	return is_talk(type) ? str_eq(buf_str(&a->name), name) : str_ieq(buf_str(&a->name), name);
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
}

static struct fact *
add(struct facts *f, struct addr server, struct str name, enum dns_type type)
{
	struct fact *a = mem_zero(sizeof *a);

	if (f->n == f->room) {
		f->room = f->room * 2 + 64;
		f->v = mem_resize(f->v, f->room, sizeof *f->v);
	}
	f->v[f->n++] = a;
	a->of = f;
	a->server = server;
	a->type = type;
	buf_init(&a->name, 4096);
	for (size_t i = 0; i < name.n; i++)
		buf_addc(&a->name, is_talk(type) ? name.p[i] : lower(name.p[i]));
	hash_put(&f->by_name, &a->node, hash_istr(name));
	f->missing++;
	return a;
}

const struct fact *
facts_get_at(struct facts *f, struct addr server, struct str name, enum dns_type type)
{
	struct fact *a;

	if (!is_talk(type) && name.n > 1 && name.p[name.n - 1] == '.')
		name.n--;
	for (struct hash_node *k = hash_first(&f->by_name, hash_istr(name)); k != NULL;
	     k = hash_more(k)) {
		a = CONTAINER(k, struct fact, node);
		if (is_about(a, server, name, type))
			return a;
	}
	a = add(f, server, name, type);
	if (f->given_up || f->n > FACTS_MAX)
		fact_put(a, &no_answer);
	else if (!is_talk(type) && !is_possible(name))
		fact_put(a, &(struct dns_answer){.status = DNS_NXDOMAIN,
		                                 .why = "not a possible name"});
	else
		f->source.ask(f->source.arg, a);
	return a;
}

const struct fact *
facts_get(struct facts *f, struct str name, enum dns_type type)
{
	return facts_get_at(f, (struct addr){0}, name, type);
}

const struct fact *
facts_talk(struct facts *f, struct addr to, struct str script)
{
	return facts_get_at(f, to, script, (enum dns_type)FACT_TALK);
}

const struct fact *
facts_visit(struct facts *f, struct addr client, struct str script)
{
	return facts_get_at(f, client, script, (enum dns_type)FACT_VISIT);
}

bool
fact_is_talk(const struct fact *f)
{
	return is_talk(f->type);
}

size_t
facts_missing(const struct facts *f)
{
	return f->missing;
}

size_t
facts_count(const struct facts *f)
{
	return f->n;
}

const struct fact *
facts_at(const struct facts *f, size_t i)
{
	return f->v[i];
}

void
facts_give_up(struct facts *f)
{
	f->given_up = true;
	for (size_t i = 0; i < f->n; i++)
		fact_put(f->v[i], &no_answer);
}

void
fact_put(struct fact *f, const struct dns_answer *answer)
{
	if (f->known)
		return;
	f->known = true;
	f->at_ms = time_wall_ms();
	f->of->missing--;
	f->status = answer->status;
	f->secure = answer->secure;
	f->why = answer->why;
	f->n = answer->status == DNS_OK ? answer->n : 0;
	if (f->n > FACT_RECORDS_MAX)
		f->n = FACT_RECORDS_MAX;
	f->records = mem_array(f->n, sizeof *f->records);
	for (size_t i = 0; i < f->n; i++) {
		struct dns_record *r = &f->records[i];

		*r = answer->records[i];
		r->name = (struct str){str_dup(r->name), r->name.n};
		r->data = (struct str){mem_copy(r->data.p, r->data.n), r->data.n};
	}
}

void
fact_name(struct buf *out, const struct fact *f)
{
	for (size_t i = 0; i < f->name.n; i++) {
		char c = f->name.p[i];

		if (c <= ' ' || c == '\\' || c > 126)
			buf_addf(out, "\\%03u", (unsigned char)c);
		else
			buf_addc(out, c);
	}
}

void
reverse_name(struct buf *out, struct addr a, bool tail)
{
	if (a.family == 4) {
		for (size_t i = 4; i-- > 0;)
			buf_addf(out, "%s%u", i == 3 ? "" : ".", a.ip[i]);
		buf_addz(out, tail ? ".in-addr.arpa" : "");
		return;
	}
	for (size_t i = 16; i-- > 0;)
		buf_addf(out, "%s%x.%x", i == 15 ? "" : ".", a.ip[i] & 15U, a.ip[i] >> 4);
	buf_addz(out, tail ? ".ip6.arpa" : "");
}
