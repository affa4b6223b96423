/* SPDX-License-Identifier: ISC */
/*
 * ask - the facts of the real world: questions over lib/dns and connections, all at
 * once, and one deadline for everything.
 */
#ifndef DOCTOR_ASK_H
#define DOCTOR_ASK_H

#include "doctor/facts.h"

struct ask;

struct loop *ask_loop(struct ask *a);

/*
 * The way to listener `index` of the configuration, in this process and as if `client` had come (facts_visit()):
 * a connected, non-blocking socket, or -1. Without a door such visits have no answer. What is behind
 * it lives on ask_loop() and must end before ask_destroy().
 */
struct ask_door {
	int (*open)(void *arg, unsigned index, struct addr client);
	void      *arg;
	struct str ca_pem; /* a certificate of ours: saves reading those of the system */
};
void ask_set_door(struct ask *a, const struct ask_door *door);

/*
 * `resolver` is used as it is; servers that are asked by name (facts_get_at()) get an unvalidated
 * one each. NULL and a sentence in `why` if there is no way to ask.
 */
struct ask   *ask_create(const struct dns_conf *resolver, struct buf *why);
void          ask_destroy(struct ask *a); /* with its facts; NULL is allowed */
struct facts *ask_facts(struct ask *a);

/*
 * Call `judge` (perhaps often) until it is true: nothing is missing. At the latest after
 * `limit_ms`; what is unknown then had no answer, and `judge` has the last word.
 */
void ask_until(struct ask *a, bool (*judge)(void *arg), void *arg, int64_t limit_ms);

#endif
