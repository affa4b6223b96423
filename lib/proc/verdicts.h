/* SPDX-License-Identifier: ISC */
/*
 * verdicts - what the doctor inside the daemon found last, and which keys are published.
 *
 * Memory of the supervisor: only what has not passed is kept in words, the rest as
 * numbers. The texts come from a role that reads answers of strangers, so they are
 * bounded and shown as they are, and nothing here depends on what they say.
 */
#ifndef LIB_PROC_VERDICTS_H
#define LIB_PROC_VERDICTS_H

#include "lib/proc/wire.h"
#include "lib/util/list.h"

struct config;
struct verdicts;

enum { VERDICTS_MAX = 200, VERDICTS_KEYS_MAX = 256 };

/* One finding that has not passed; texts are NUL-terminated. */
struct verdict {
	struct link link;
	const char *id, *subject, *status, *why;
	int64_t     since_ms; /* wall clock */
};

struct verdicts *verdicts_create(void);
void             verdicts_destroy(struct verdicts *v); /* NULL is allowed */

/* Is the check one of those that an EXAMINE asks for? */
bool checks_include(struct str only, struct str except, struct str id);

/*
 * The result of an exam takes the place of what is known about the same checks; what could not be asked
 * (skip) leaves what was known. `changed` is called for each finding that is new, says something else
 * than before (`was`: its former status, "" for none) or is gone (status "pass").
 */
void verdicts_take(struct verdicts *v, const struct wire_examine *asked,
                   const struct wire_findings *found,
                   void (*changed)(const struct verdict *now, const char *was));

/* How many findings of this status the last exams had. */
uint64_t verdicts_count(const struct verdicts *v, const char *status);
bool     verdicts_gate_fails(const struct verdicts *v);

/* True: that is news. */
bool verdicts_key(struct verdicts *v, const struct wire_key_state *k);
/* Keys that the configuration has no longer are forgotten. */
void verdicts_config(struct verdicts *v, const struct config *c);

/* A line "NAME KEY" for each key that is published, with `before` in front. */
void verdicts_seen(const struct verdicts *v, const char *before, struct buf *out);
void verdicts_gates(const struct verdicts *v, struct buf *out);  /* the text of WIRE_GATES */
void verdicts_report(const struct verdicts *v, struct buf *out); /* rows for `status` */

#endif
