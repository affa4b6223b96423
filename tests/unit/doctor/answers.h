/* SPDX-License-Identifier: ISC */
/*
 * answers - a name server made of text, under doctor/facts.h.
 *
 * One record a line: "NAME TYPE VALUE" with TYPE A AAAA MX PTR TXT NS SOA CNAME TLSA SPF; "NAME
 * TIMEOUT" has no answer, "NAME BOGUS" one that DNSSEC refutes, and "NAME SECURE" is validated. The owner "@IP NAME" is what only the server
 * with this address says.
 *
 * Conversations: "talk:RCPT_TO:<abuse SAYS 550 5.1.1 unknown" answers commands that begin so
 * (with _ for a space; nothing behind the colon: the greeting), "visit:" those at our own listeners.
 * SAYS 0 is silence, DEAD no connection. What no line is about is accepted, but RCPT of visitors.
 */
#ifndef TESTS_UNIT_DOCTOR_ANSWERS_H
#define TESTS_UNIT_DOCTOR_ANSWERS_H

#include "doctor/facts.h"

struct answers {
	struct buf text;
};

void          answers_init(struct answers *a);
void          answers_free(struct answers *a);
void          answers_add(struct answers *a, struct str line);
struct facts *answers_facts(struct answers *a); /* every fact is known at once */

#endif
