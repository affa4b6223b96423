/* SPDX-License-Identifier: ISC */
#include "delivery/mail.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/proc/wire.h"
#include "lib/util/mem.h"

/* With this the texts of a lease's recipients fit into one OUTCOME frame with room to spare. */
enum { TEXTS_MAX = 1024 * 1024 };

void
mail_init(struct mail *m, const struct envelope *env)
{
	*m = (struct mail){.env = env, .fd = -1, .texts = BUF(TEXTS_MAX), .scope = SCOPE_RCPT};
}

void
mail_free(struct mail *m)
{
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
	free(m->targets);
	m->targets = NULL;
	m->n = 0;
	buf_free(&m->texts);
}

size_t
mail_count(const struct mail *m, enum target_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->targets[i].state == state;
	return n;
}

bool
mail_is_settled(const struct mail *m)
{
	return mail_count(m, TARGET_DONE) == m->n;
}

/* Keep the text once; recipients that share a reply share it. */
static uint32_t
keep(struct mail *m, struct str text)
{
	size_t at = m->texts.n;

	buf_add(&m->texts, text);
	return (uint32_t)at;
}

static void
set(struct mail *m, struct target *t, const struct reply *r, uint32_t text_at)
{
	t->state = TARGET_DONE;
	t->code = r->code;
	for (size_t i = 0; i < 3; i++)
		t->status[i] = r->status[i];
	t->text_at = text_at;
	t->text_n = m->texts.over ? 0 : (uint32_t)r->text.n;
}

void
mail_settle(struct mail *m, struct target *t, struct reply r)
{
	set(m, t, &r, keep(m, r.text));
}

void
mail_settle_state(struct mail *m, enum target_state state, struct reply r)
{
	uint32_t at = keep(m, r.text);

	for (size_t i = 0; i < m->n; i++)
		if (m->targets[i].state == state)
			set(m, &m->targets[i], &r, at);
}

void
mail_settle_all(struct mail *m, struct reply r, unsigned scope)
{
	uint32_t at = keep(m, r.text);

	for (size_t i = 0; i < m->n; i++)
		if (m->targets[i].state != TARGET_DONE)
			set(m, &m->targets[i], &r, at);
	if (scope > m->scope)
		m->scope = scope;
}

void
mail_reset(struct mail *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->targets[i].state != TARGET_DONE)
			m->targets[i].state = TARGET_PENDING;
	m->begun = m->sent = false;
}

struct reply
mail_reply(const struct mail *m, size_t i)
{
	const struct target *t = &m->targets[i];

	return (struct reply){.code = t->code,
	                      .status = {t->status[0], t->status[1], t->status[2]},
	                      .text = str_sub(buf_str(&m->texts), t->text_at, t->text_n)};
}
