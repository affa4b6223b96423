/* SPDX-License-Identifier: ISC */
#include "smtpd/senders.h"

#include <stdlib.h>

#include "lib/util/mem.h"

enum {
	NAME_SHOWN = 64,
	ROW_MAX = 160,
};

struct sender {
	struct hash_node node;
	struct link      link;
	char            *name;
	bool             is_login;
	uint64_t         lint[LINT_RULES];
};

void
senders_init(struct senders *ss)
{
	*ss = (struct senders){0};
	list_init(&ss->age);
}

static void
forget(struct senders *ss, struct sender *s)
{
	hash_remove(&ss->by_name, &s->node);
	list_remove(&ss->age, &s->link);
	free(s->name);
	free(s);
}

void
senders_free(struct senders *ss)
{
	struct sender *s;

	LIST_EACH(&ss->age, s, struct sender, link)
		forget(ss, s);
	hash_free(&ss->by_name);
}

/* An address may be a login's name as well, so the kind is part of who it is. */
static struct sender *
find(const struct senders *ss, struct str name, bool is_login)
{
	for (struct hash_node *n = hash_first(&ss->by_name, hash_str(name)); n != NULL;
	     n = hash_more(n)) {
		struct sender *s = CONTAINER(n, struct sender, node);

		if (s->is_login == is_login && str_eq(str_of(s->name), name))
			return s;
	}
	return NULL;
}

static struct sender *
add(struct senders *ss, struct str name, bool is_login)
{
	struct sender *s = mem_zero(sizeof *s);

	if (ss->age.n == SENDERS_MAX)
		forget(ss, CONTAINER(list_first(&ss->age), struct sender, link));
	s->name = str_dup(name);
	s->is_login = is_login;
	hash_put(&ss->by_name, &s->node, hash_str(name));
	list_push(&ss->age, &s->link);
	return s;
}

static struct str
name_of(struct buf *text, struct str login, struct addr client)
{
	if (login.n > 0)
		return login;
	addr_format(text, client);
	return buf_str(text);
}

void
senders_see(struct senders *ss, struct str login, struct addr client)
{
	struct buf     text = BUF(64);
	struct str     name = name_of(&text, login, client);
	struct sender *s = find(ss, name, login.n > 0);

	if (s == NULL)
		s = add(ss, name, login.n > 0);
	list_remove(&ss->age, &s->link);
	list_push(&ss->age, &s->link);
	buf_free(&text);
}

void
senders_note(struct senders *ss, struct str login, struct addr client, uint64_t found)
{
	struct buf     text = BUF(64);
	struct sender *s;

	if (found == 0)
		return;
	s = find(ss, name_of(&text, login, client), login.n > 0);
	if (s != NULL)
		lint_count(s->lint, found);
	buf_free(&text);
}

/* One word, whatever the login is called. */
static void
add_name(struct buf *out, const struct sender *s)
{
	struct str name = str_sub(str_of(s->name), 0, NAME_SHOWN);

	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		buf_addc(out, c > ' ' && c != '"' && c != '\\' && c != 0x7f ? c : '?');
	}
}

static void
add_row(struct buf *row, const struct sender *s, enum lint_rule rule)
{
	buf_clear(row);
	lint_format_counter(row, rule);
	buf_addz(row, s->is_login ? "{user=\"" : "{client=\"");
	add_name(row, s);
	buf_addz(row, "\"} ");
	buf_addn(row, s->lint[rule]);
	buf_addc(row, '\n');
}

void
senders_format(const struct senders *ss, struct buf *rows, size_t most)
{
	struct buf row = BUF(ROW_MAX);
	size_t     end = rows->n + most;

	for (struct link *k = ss->age.head.prev; k != &ss->age.head; k = k->prev) {
		const struct sender *s = CONTAINER(k, const struct sender, link);

		for (unsigned i = 0; i < LINT_RULES; i++) {
			if (s->lint[i] == 0)
				continue;
			add_row(&row, s, (enum lint_rule)i);
			if (!row.over && rows->n + row.n <= end)
				buf_add(rows, buf_str(&row));
		}
	}
	buf_free(&row);
}
