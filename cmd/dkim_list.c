/* SPDX-License-Identifier: ISC */
/*
 * postern dkim list: every key, its state, its age, and what DNS shows of it.
 *
 *   new        made; DNS does not show its record yet, or not the right one everywhere
 *   published  DNS shows the right record on every server: `dkim activate` lets it sign
 *   active     signs
 *   retiring   signs no more, but mail that it signed may still be under way
 *   revoked    its record is not needed any more
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/dkim.h"
#include "cmd/key_ring.h"
#include "cmd/table.h"
#include "cmd/world.h"
#include "dkim/key.h"
#include "lib/proc/config.h"
#include "lib/util/json.h"
#include "lib/util/mem.h"

enum { ROW_LIMIT = 32 * 1024 };

/* What DNS says of a key; UNKNOWN: nobody answered, or nobody was asked. */
enum shown { SHOWN_UNKNOWN, SHOWN_MISSING, SHOWN_DIFFERS, SHOWN_RIGHT };

struct listing {
	struct world    world;
	struct key_ring ring;
	enum shown     *shown; /* of each key */
};

/* ---- DNS ---- */

static enum shown
weigh(const struct finding *f)
{
	if (f->status == CHECK_PASS)
		return SHOWN_RIGHT;
	if (f->status == CHECK_SKIP)
		return SHOWN_UNKNOWN;
	return strcmp(f->id, "dkim.record") == 0 && f->observed.n == 0 ? SHOWN_MISSING
	                                                               : SHOWN_DIFFERS;
}

/* The first of the checks that is not passed says it, in the order in which they build on each other. */
static enum shown
look_up(const struct exam *e, const struct ring_key *k)
{
	struct finding *f;
	enum shown      shown;
	size_t          passed = 0;

	LIST_EACH(&e->findings, f, struct finding, link) {
		if (!str_eq(f->domain, k->domain) || !str_eq(f->selector, k->conf.selector) ||
		    !dkim_is_needed(f->id))
			continue;
		shown = weigh(f);
		if (shown != SHOWN_RIGHT)
			return shown;
		passed++;
	}
	return passed > 0 ? SHOWN_RIGHT : SHOWN_UNKNOWN;
}

static int
ask(struct listing *l)
{
	struct config *real = l->world.config, trial = key_ring_trial(&l->ring, real);
	int            code = world_open(&l->world, real);

	if (code != CMD_OK)
		return code;
	l->world.exam.config = &trial;
	l->world.exam.n_sources = 0; /* where mail leaves from makes no difference to keys */
	l->world.exam.only = STR("dkim.");
	l->world.exam.quick = true;
	world_judge(&l->world);
	for (size_t i = 0; i < l->ring.n; i++)
		l->shown[i] = look_up(&l->world.exam, &l->ring.v[i]);
	exam_free(&l->world.exam);
	l->world.exam.config = real;
	return code;
}

/* ---- telling ---- */

static const char *
state_word(const struct ring_key *k, enum shown shown)
{
	switch (k->state) {
	case KEY_FILE_NEW:
		return shown == SHOWN_RIGHT ? "published" : "new";
	case KEY_FILE_ACTIVE:
		return "active";
	case KEY_FILE_RETIRED:
		break;
	}
	return k->needed_s > 0 ? "retiring" : "revoked";
}

static const char *
shown_word(enum shown shown)
{
	static const char *const words[] = {
		[SHOWN_UNKNOWN] = "?",
		[SHOWN_MISSING] = "missing",
		[SHOWN_DIFFERS] = "differs",
		[SHOWN_RIGHT] = "right",
	};

	return words[shown];
}

static void
print_json(const struct ring_key *k, enum shown shown)
{
	struct buf  out = BUF(ROW_LIMIT);
	struct json json = {.out = &out};

	json_open(&json, NULL, '{');
	json_str(&json, "domain", k->domain);
	json_str(&json, "selector", k->conf.selector);
	json_str(&json, "type", key_type_name(k->conf.type));
	json_int(&json, "bits", k->bits);
	json_str(&json, "file", k->conf.path);
	json_str(&json, "state", str_of(state_word(k, shown)));
	json_str(&json, "dns", str_of(shown_word(shown)));
	json_int(&json, "age_s", k->age_ms / 1000);
	json_int(&json, "record_needed_s", k->needed_s);
	json_close(&json, '}');
	puts(buf_z(&out));
	buf_free(&out);
}

static void
print_table(const struct listing *l)
{
	static const struct column columns[] = {
		{"domain", "DOMAIN", SHOW_TEXT, false}, {"selector", "SELECTOR", SHOW_TEXT, true},
		{"state", "STATE", SHOW_TEXT, true},    {"dns", "DNS", SHOW_TEXT, true},
		{"type", "TYPE", SHOW_TEXT, true},      {"bits", "BITS", SHOW_NUMBER, true},
		{"age_ms", "AGE", SHOW_SPAN_MS, true},  {"file", "FILE", SHOW_TEXT, false},
	};
	struct table *t = table_create(columns, ARRAY_LEN(columns));

	for (size_t i = 0; i < l->ring.n; i++) {
		const struct ring_key *k = &l->ring.v[i];
		enum shown             shown = l->shown[i];
		struct buf             bits = BUF(32), age = BUF(32);

		buf_addn(&bits, k->bits);
		buf_addn(&age, (uint64_t)k->age_ms);
		table_add(t, (struct str[]){k->domain, k->conf.selector, str_of(state_word(k, shown)),
		                            str_of(shown_word(shown)), key_type_name(k->conf.type),
		                            buf_str(&bits), buf_str(&age), k->conf.path});
		buf_free(&bits);
		buf_free(&age);
	}
	table_finish(t);
}

static int
show(const struct listing *l, bool json)
{
	if (l->ring.n == 0) {
		if (!json)
			cmd_error("dkim", "there is no key: mail goes out unsigned",
			          "`postern dkim new DOMAIN` makes some");
		return CMD_NOTHING;
	}
	for (size_t i = 0; i < l->ring.n && json; i++)
		print_json(&l->ring.v[i], l->shown[i]);
	if (!json)
		print_table(l);
	return CMD_OK;
}

int
dkim_list(struct cmd *c)
{
	struct listing l = {0};
	int            code = world_options(&l.world, c);
	bool           offline = cmd_flag(c, "offline");

	if (code == CMD_OK && !cmd_end(c))
		code = CMD_USAGE;
	if (code == CMD_OK && (l.world.config = cmd_load(c)) == NULL)
		code = CMD_CONFIG;
	if (code == CMD_OK) {
		key_ring_fill(&l.ring, l.world.config);
		l.shown = mem_array(l.ring.n + 1, sizeof *l.shown);
	}
	if (code == CMD_OK && l.ring.n > 0 && !offline)
		code = ask(&l);
	if (code == CMD_OK)
		code = show(&l, c->json);
	key_ring_free(&l.ring);
	free(l.shown);
	world_close(&l.world);
	return code;
}
