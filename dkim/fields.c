/* SPDX-License-Identifier: ISC */
#include "dkim/fields.h"

#include <stdlib.h>

#include "lib/util/mem.h"

enum { INSTANCES_MAX = 32 };

enum cover {
	AS_PRESENT,
	ONE_MORE, /* also when there is none */
	ONE_MORE_IF_PRESENT,
	IF_RESENT, /* as present, when the resent block is on top */
};

/* clang-format off */
#define NAME(literal) {(literal), sizeof(literal) - 1}
/* clang-format on */

/*
 * In the order of h=. Sender and most List-* fields are added by mailing lists
 * and so not named once more; fields that relays add or change (Received,
 * Return-Path, Authentication-Results) or that are another's signature are not covered at all.
 */
static const struct {
	struct str name;
	enum cover cover;
} table[] = {
	{NAME("from"), ONE_MORE},
	{NAME("to"), ONE_MORE},
	{NAME("cc"), ONE_MORE},
	{NAME("subject"), ONE_MORE},
	{NAME("date"), ONE_MORE},
	{NAME("message-id"), ONE_MORE},
	{NAME("reply-to"), ONE_MORE},
	{NAME("mime-version"), ONE_MORE},
	{NAME("content-type"), ONE_MORE},
	{NAME("content-transfer-encoding"), ONE_MORE},
	{NAME("list-unsubscribe"), ONE_MORE_IF_PRESENT},
	{NAME("list-unsubscribe-post"), ONE_MORE_IF_PRESENT},
	{NAME("sender"), AS_PRESENT},
	{NAME("in-reply-to"), AS_PRESENT},
	{NAME("references"), AS_PRESENT},
	{NAME("content-id"), AS_PRESENT},
	{NAME("content-description"), AS_PRESENT},
	{NAME("content-disposition"), AS_PRESENT},
	{NAME("list-id"), AS_PRESENT},
	{NAME("list-help"), AS_PRESENT},
	{NAME("list-subscribe"), AS_PRESENT},
	{NAME("list-post"), AS_PRESENT},
	{NAME("list-owner"), AS_PRESENT},
	{NAME("list-archive"), AS_PRESENT},
	{NAME("feedback-id"), AS_PRESENT},
	{NAME("auto-submitted"), AS_PRESENT},
	{NAME("organization"), AS_PRESENT},
	{NAME("resent-from"), IF_RESENT},
	{NAME("resent-sender"), IF_RESENT},
	{NAME("resent-to"), IF_RESENT},
	{NAME("resent-cc"), IF_RESENT},
	{NAME("resent-date"), IF_RESENT},
	{NAME("resent-message-id"), IF_RESENT},
	{NAME("resent-reply-to"), IF_RESENT},
};

enum { ROWS = ARRAY_LEN(table), NO_ROW = ROWS };

struct selection {
	size_t        total[ROWS]; /* instances of each row */
	bool          resent;      /* the resent block is on top */
	struct field *found;       /* the covered ones, row after row, from the top */
	size_t        first[ROWS]; /* where those of a row begin */
};

static size_t
find_row(struct str name)
{
	for (size_t i = 0; i < ROWS; i++)
		if (name.n == table[i].name.n && str_ieq(name, table[i].name))
			return i;
	return NO_ROW;
}

/* Trace fields are put above a resent block by every relay, and by us. */
static bool
is_trace(struct str name)
{
	return str_ieq(name, STR("received")) || str_ieq(name, STR("return-path"));
}

static void
count(struct selection *s, struct str head)
{
	struct field f;
	bool         top = true;

	while (header_next(&head, &f, NULL)) {
		size_t row = find_row(f.name);

		if (row < ROWS)
			s->total[row]++;
		if (top && !is_trace(f.name)) {
			s->resent = str_istarts(f.name, STR("resent-"));
			top = false;
		}
	}
}

static size_t
covered(const struct selection *s, size_t row)
{
	if (table[row].cover == IF_RESENT && !s->resent)
		return 0;
	return s->total[row] < INSTANCES_MAX ? s->total[row] : INSTANCES_MAX;
}

static void
collect(struct selection *s, struct str head)
{
	size_t       seen[ROWS] = {0}, n = 0;
	struct field f;

	for (size_t row = 0; row < ROWS; row++) {
		s->first[row] = n;
		n += covered(s, row);
	}
	s->found = mem_array(n, sizeof *s->found);
	while (header_next(&head, &f, NULL)) {
		size_t row = find_row(f.name), above;

		if (row == NO_ROW)
			continue;
		/* A verifier counts from the bottom: what is left out must be at the top. */
		above = s->total[row] - covered(s, row);
		if (seen[row] >= above)
			s->found[s->first[row] + seen[row] - above] = f;
		seen[row]++;
	}
}

static void
add_name(struct buf *names, size_t row)
{
	if (names->n > 0)
		buf_addc(names, ':');
	buf_add(names, table[row].name);
}

void
fields_select(struct str head, enum canon canon, struct buf *names, struct buf *data)
{
	struct selection s = {0};

	count(&s, head);
	collect(&s, head);
	for (size_t row = 0; row < ROWS; row++) {
		size_t     n = covered(&s, row);
		enum cover cover = table[row].cover;

		for (size_t i = n; i > 0; i--) {
			add_name(names, row);
			canon_field(data, &s.found[s.first[row] + i - 1], canon);
		}
		if (n == s.total[row] &&
		    (cover == ONE_MORE || (cover == ONE_MORE_IF_PRESENT && n > 0)))
			add_name(names, row);
	}
	free(s.found);
}
