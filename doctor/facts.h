/* SPDX-License-Identifier: ISC */
/*
 * facts - what the DNS has said so far, for judgements that are plain functions.
 *
 * Nobody here waits for an answer. A judgement reads the facts as if all were
 * there; one that is not there yet is asked for and counted in `missing`, and the
 * whole judgement is made again once more has come, until nothing is missing. So all
 * questions go out side by side, no check has states or callbacks, and a test
 * gives its answers from a table.
 */
#ifndef DOCTOR_FACTS_H
#define DOCTOR_FACTS_H

#include "lib/dns/dns.h"
#include "lib/util/hash.h"

struct loop;
struct facts;

enum { FACT_RECORDS_MAX = 64 };

struct fact {
	struct buf         name; /* lower case, no final dot */
	enum dns_type      type;
	struct addr        server; /* asked of this one; family 0: the resolver */
	bool               known;
	enum dns_status    status;
	bool               secure;
	const char        *why;     /* for people, when not OK; static */
	struct dns_record *records; /* the fact's own, texts as well */
	size_t             n;
	struct facts      *of;
	struct hash_node   node;
};

/*
 * Where answers come from: `ask` leads to one fact_put() for this fact, at once or later.
 * It is called once for each fact.
 */
struct facts_source {
	void (*ask)(void *arg, struct fact *f);
	void *arg;
};

struct facts *facts_create(const struct facts_source *source);
void          facts_destroy(struct facts *f); /* NULL is allowed; nothing may still be asked */

/*
 * The fact about a name; valid as long as `f`. Not `known`: asked for, nothing can be
 * said. A name that the DNS cannot have (empty or long labels) does not exist.
 */
const struct fact *facts_get(struct facts *f, struct str name, enum dns_type type);
const struct fact *
facts_get_at(struct facts *f, struct addr server, struct str name, enum dns_type type);

/* Can port `to.port` be reached from here? OK: connected. Its type is FACT_CONNECT. */
enum { FACT_CONNECT = 0 };
const struct fact *facts_connect(struct facts *f, struct addr to);

/* How many facts are asked for and unknown. */
size_t             facts_missing(const struct facts *f);
size_t             facts_count(const struct facts *f);
const struct fact *facts_at(const struct facts *f, size_t i);

/* From now on all that is unknown is known to have had no answer. */
void facts_give_up(struct facts *f);

/* The answer, copied. Ignored if the fact is known already. */
void fact_put(struct fact *f, const struct dns_answer *answer);

/* The name as text for a resolver: a space (macros of SPF make such) as \032. */
void fact_name(struct buf *out, const struct fact *f);

/* "10.2.0.192.in-addr.arpa" and its IPv6 form; `tail` false: without the two last labels. */
void reverse_name(struct buf *out, struct addr a, bool tail);

#endif
