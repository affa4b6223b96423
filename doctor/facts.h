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
	int64_t            at_ms;  /* wall clock: when it became known */
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

/*
 * Conversations by SMTP are facts, too; `script` is that of doctor/talk.h. OK: there was a
 * connection. Each record is a reply: `name` the verb it answers (empty: the greeting),
 * `preference` its code, `data` its text.
 *
 * facts_visit() goes to our own listener number `client.port` of the configuration, in this process
 * and as if `client` had come; without a door to it (doctor/ask.h) there is no answer.
 */
enum { FACT_TALK = 65280, FACT_VISIT = 65281 }; /* types that DNS has for private use (RFC 6895) */
const struct fact *facts_talk(struct facts *f, struct addr to, struct str script);
const struct fact *facts_visit(struct facts *f, struct addr client, struct str script);
bool               fact_is_talk(const struct fact *f); /* one of the two; the others are DNS */

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
