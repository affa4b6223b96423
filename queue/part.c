/* SPDX-License-Identifier: ISC */
#include "queue/part.h"

#include <stdlib.h>

#include "lib/util/mem.h"

enum { RCPTS_MAX = 100000 };

static const char *const state_names[] = {
	[PART_WAIT] = "wait",
	[PART_HOLD] = "hold",
	[PART_DONE] = "done",
};

static const char *const rcpt_names[] = {
	[RCPT_WAIT] = "wait",
	[RCPT_SENT] = "sent",
	[RCPT_FAILED] = "failed",
};

/* Runs of neighbours become "first-last": most parts are one run. */
static void
format_places(struct buf *out, const struct part_text *p)
{
	for (size_t i = 0; i < p->n_rcpts;) {
		size_t end = i + 1;

		while (end < p->n_rcpts && p->rcpts[end].index == p->rcpts[end - 1].index + 1)
			end++;
		if (i > 0)
			buf_addc(out, ',');
		buf_addn(out, p->rcpts[i].index);
		if (end > i + 1) {
			buf_addc(out, '-');
			buf_addn(out, p->rcpts[end - 1].index);
		}
		i = end;
	}
}

void
part_format(struct buf *out, const struct part_text *p)
{
	buf_add(out, STR("part: "));
	buf_addn(out, p->no);
	buf_addc(out, ' ');
	buf_addz(out, state_names[p->state]);
	buf_addc(out, ' ');
	buf_addn(out, (uint64_t)(p->due_ms < 0 ? 0 : p->due_ms));
	buf_addc(out, ' ');
	buf_addn(out, p->tries);
	buf_addz(out, p->noticed ? " n " : " - ");
	buf_add(out, p->lane);
	buf_addc(out, ' ');
	format_places(out, p);
	buf_addc(out, '\n');
	if (p->why.n > 0) {
		buf_add(out, STR("why: "));
		buf_add(out, p->why);
		buf_addc(out, '\n');
	}
	for (size_t i = 0; i < p->n_rcpts; i++) {
		const struct store_rcpt *r = &p->rcpts[i];

		if (r->state == RCPT_WAIT && r->reply.n == 0)
			continue;
		buf_add(out, STR("rcpt: "));
		buf_addn(out, r->index);
		buf_addc(out, ' ');
		buf_addz(out, rcpt_names[r->state]);
		buf_addc(out, ' ');
		buf_add(out, r->reply);
		buf_addc(out, '\n');
	}
}

static bool
find_name(struct str word, const char *const *names, unsigned n, unsigned *out)
{
	for (unsigned i = 0; i < n; i++) {
		if (!str_eq(word, str_of(names[i])))
			continue;
		*out = i;
		return true;
	}
	return false;
}

static bool
add_run(struct part_text *p, size_t *cap, uint64_t first, uint64_t last)
{
	if (last < first || last - first >= RCPTS_MAX || p->n_rcpts + (last - first) >= RCPTS_MAX)
		return false;
	for (uint64_t i = first; i <= last; i++) {
		if (p->n_rcpts == *cap) {
			*cap = *cap == 0 ? (last == first ? 1 : (size_t)(last - first + 1))
			                 : *cap * 2;
			p->rcpts = mem_resize(p->rcpts, *cap, sizeof *p->rcpts);
		}
		p->rcpts[p->n_rcpts++] = (struct store_rcpt){.index = (uint32_t)i};
	}
	return true;
}

static bool
parse_places(struct str text, struct part_text *p)
{
	struct str piece;
	size_t     cap = 0;

	while (str_cut(&text, ',', &piece)) {
		struct str head = STR_NONE;
		uint64_t   first, last;

		if (!str_cut(&piece, '-', &head) || !str_number(head, UINT32_MAX, &first))
			return false;
		last = first;
		if (piece.n > 0 && !str_number(piece, UINT32_MAX, &last))
			return false;
		if (!add_run(p, &cap, first, last))
			return false;
	}
	return true;
}

static bool
parse_head(struct str line, struct part_text *p)
{
	uint64_t no, due, tries;
	unsigned state;

	if (!str_number(str_word(&line), UINT32_MAX, &no) ||
	    !find_name(str_word(&line), state_names, ARRAY_LEN(state_names), &state) ||
	    !str_number(str_word(&line), INT64_MAX, &due) ||
	    !str_number(str_word(&line), UINT16_MAX, &tries))
		return false;
	p->no = (uint32_t)no;
	p->state = (enum part_state)state;
	p->due_ms = (int64_t)due;
	p->tries = (unsigned)tries;
	p->noticed = str_eq(str_word(&line), STR("n"));
	p->lane = str_word(&line);
	return p->lane.n > 0 && parse_places(str_word(&line), p);
}

/* Recipients stand in rising order, and so do their lines: `from` goes on where the last was found. */
static bool
parse_rcpt(struct str line, struct part_text *p, size_t *from)
{
	uint64_t index;
	unsigned state;

	if (!str_number(str_word(&line), UINT32_MAX, &index) ||
	    !find_name(str_word(&line), rcpt_names, ARRAY_LEN(rcpt_names), &state))
		return false;
	while (*from < p->n_rcpts && p->rcpts[*from].index != index)
		(*from)++;
	if (*from == p->n_rcpts)
		return false;
	p->rcpts[*from].state = (enum rcpt_state)state;
	p->rcpts[*from].reply = str_trim(line);
	return true;
}

bool
part_parse(struct str *rest, struct part_text *p)
{
	struct str line;
	size_t     from = 0;

	*p = (struct part_text){0};
	if (!str_cut(rest, '\n', &line) || !str_starts(line, STR("part: ")))
		return false;
	if (!parse_head(str_skip(line, 6), p))
		goto fail;
	while (rest->n > 0 && !str_starts(*rest, STR("part: "))) {
		if (!str_cut(rest, '\n', &line))
			break;
		if (str_starts(line, STR("why: ")))
			p->why = str_skip(line, 5);
		else if (str_starts(line, STR("rcpt: ")) &&
		         !parse_rcpt(str_skip(line, 6), p, &from))
			goto fail;
	}
	return true;
fail:
	part_free(p);
	return false;
}

void
part_free(struct part_text *p)
{
	free(p->rcpts);
	p->rcpts = NULL;
	p->n_rcpts = 0;
}

size_t
part_waiting(const struct part_text *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_rcpts; i++)
		n += p->rcpts[i].state == RCPT_WAIT;
	return n;
}

void
part_apply(struct part_text *p, const struct store_rcpt *changes, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		size_t seen = 0;

		/* Both lists rise as a rule; the wrap-around copes with any order. */
		while (seen < p->n_rcpts && p->rcpts[at % p->n_rcpts].index != changes[i].index) {
			at++;
			seen++;
		}
		if (seen == p->n_rcpts)
			continue;
		p->rcpts[at % p->n_rcpts].state = changes[i].state;
		p->rcpts[at % p->n_rcpts].reply = changes[i].reply;
	}
}
