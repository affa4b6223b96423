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
#include <sys/stat.h>

#include "cmd/dkim.h"
#include "cmd/key_files.h"
#include "cmd/table.h"
#include "cmd/world.h"
#include "dkim/key.h"
#include "lib/proc/config.h"
#include "lib/util/json.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum { WHY_MAX = 4096, ROW_LIMIT = 32 * 1024 };

/* What DNS says of a key; UNKNOWN: nobody answered, or nobody was asked. */
enum shown { SHOWN_UNKNOWN, SHOWN_MISSING, SHOWN_DIFFERS, SHOWN_RIGHT };

struct listed {
	struct str           domain; /* these and those of `key` are the listing's */
	struct dkim_key_conf key;
	unsigned             bits;
	enum key_file_state  file_state;
	int64_t              age_ms, needed_s; /* needed_s: of a retired key */
	enum shown           shown;
};

struct listing {
	struct world   world;
	struct listed *v;
	size_t         n;
};

/* ---- keys ---- */

static struct str
copy(struct str s)
{
	return (struct str){str_dup(s), s.n};
}

static void
drop(struct str s)
{
	free((void *)(uintptr_t)s.p);
}

static int64_t
age_of(const char *path)
{
	struct stat st;
	int64_t age = stat(path, &st) == 0 ? time_wall_ms() - (int64_t)st.st_mtime * 1000 : 0;

	return age > 0 ? age : 0;
}

static struct listed *
add(struct listing *l, struct str domain, const struct dkim_key_conf *k)
{
	struct buf     why = BUF(WHY_MAX);
	struct key    *key = key_load(k->pem, &why);
	struct listed *to;

	l->v = mem_resize(l->v, l->n + 1, sizeof *l->v);
	to = &l->v[l->n++];
	*to = (struct listed){.domain = copy(domain), .file_state = KEY_FILE_ACTIVE};
	to->key.selector = copy(k->selector);
	to->key.path = copy(k->path);
	to->key.pem = copy(k->pem);
	to->key.type = key != NULL ? key_type(key) : k->type;
	to->bits = key != NULL ? key_bits(key) : 0;
	to->age_ms = age_of(to->key.path.p);
	key_destroy(key);
	buf_free(&why);
	return to;
}

/* A key that does not sign: made and not yet active, or retired. */
static void
add_idle(void *arg, const struct key_file *f)
{
	struct listing      *l = arg;
	struct dkim_key_conf k = {.selector = f->selector, .path = f->path, .pem = f->pem};
	struct listed       *to;

	if (f->state == KEY_FILE_ACTIVE)
		return;
	to = add(l, f->domain, &k);
	to->file_state = f->state;
	to->needed_s = f->state == KEY_FILE_RETIRED ? key_file_needed_s(l->world.config, f) : 0;
}

static void
collect(struct listing *l)
{
	const struct config *c = l->world.config;

	for (size_t i = 0; i < c->n_dkim; i++)
		for (size_t k = 0; k < c->dkim[i].n_keys; k++)
			(void)add(l, c->dkim[i].domain, &c->dkim[i].keys[k]);
	key_files_each(c, add_idle, l);
}

/* ---- DNS ---- */

/* The keys one by one, each as if it alone signed for its domain. */
static struct dkim_conf *
make_blocks(const struct listing *l)
{
	struct dkim_conf *blocks = mem_array(l->n, sizeof *blocks);

	for (size_t i = 0; i < l->n; i++)
		blocks[i] = (struct dkim_conf){
			.domain = l->v[i].domain, .keys = &l->v[i].key, .n_keys = 1};
	return blocks;
}

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
look_up(const struct exam *e, const struct listed *k)
{
	struct finding *f;
	enum shown      shown;
	size_t          passed = 0;

	LIST_EACH(&e->findings, f, struct finding, link) {
		if (!str_eq(f->domain, k->domain) || !str_eq(f->selector, k->key.selector) ||
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
	struct config    *real = l->world.config, trial = *real;
	struct dkim_conf *blocks = make_blocks(l);
	int               code = world_open(&l->world, real);

	trial.dkim = blocks;
	trial.n_dkim = l->n;
	if (code == CMD_OK) {
		l->world.exam.config = &trial;
		l->world.exam.n_sources = 0; /* where mail leaves from makes no difference to keys */
		l->world.exam.quick = true;
		world_judge(&l->world);
		for (size_t i = 0; i < l->n; i++)
			l->v[i].shown = look_up(&l->world.exam, &l->v[i]);
		exam_free(&l->world.exam);
		l->world.exam.config = real;
	}
	free(blocks);
	return code;
}

/* ---- telling ---- */

static const char *
state_word(const struct listed *k)
{
	switch (k->file_state) {
	case KEY_FILE_NEW:
		return k->shown == SHOWN_RIGHT ? "published" : "new";
	case KEY_FILE_ACTIVE:
		return "active";
	case KEY_FILE_RETIRED:
		break;
	}
	return k->needed_s > 0 ? "retiring" : "revoked";
}

static const char *
shown_word(const struct listed *k)
{
	static const char *const words[] = {
		[SHOWN_UNKNOWN] = "?",
		[SHOWN_MISSING] = "missing",
		[SHOWN_DIFFERS] = "differs",
		[SHOWN_RIGHT] = "right",
	};

	return words[k->shown];
}

static void
print_json(const struct listed *k)
{
	struct buf  out = BUF(ROW_LIMIT);
	struct json json = {.out = &out};

	json_open(&json, NULL, '{');
	json_str(&json, "domain", k->domain);
	json_str(&json, "selector", k->key.selector);
	json_str(&json, "type", key_type_name(k->key.type));
	json_int(&json, "bits", k->bits);
	json_str(&json, "file", k->key.path);
	json_str(&json, "state", str_of(state_word(k)));
	json_str(&json, "dns", str_of(shown_word(k)));
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

	for (size_t i = 0; i < l->n; i++) {
		const struct listed *k = &l->v[i];
		struct buf           bits = BUF(32), age = BUF(32);

		buf_addn(&bits, k->bits);
		buf_addn(&age, (uint64_t)k->age_ms);
		table_add(t, (struct str[]){k->domain, k->key.selector, str_of(state_word(k)),
		                            str_of(shown_word(k)), key_type_name(k->key.type),
		                            buf_str(&bits), buf_str(&age), k->key.path});
		buf_free(&bits);
		buf_free(&age);
	}
	table_finish(t);
}

static int
show(const struct listing *l, bool json)
{
	if (l->n == 0) {
		if (!json)
			cmd_error("dkim", "there is no key: mail goes out unsigned",
			          "`postern dkim new DOMAIN` makes some");
		return CMD_NOTHING;
	}
	for (size_t i = 0; i < l->n && json; i++)
		print_json(&l->v[i]);
	if (!json)
		print_table(l);
	return CMD_OK;
}

static void
end(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct listed *k = &l->v[i];

		mem_wipe((void *)(uintptr_t)k->key.pem.p, k->key.pem.n);
		drop(k->key.pem);
		drop(k->key.selector);
		drop(k->key.path);
		drop(k->domain);
	}
	free(l->v);
	world_close(&l->world);
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
	if (code == CMD_OK)
		collect(&l);
	if (code == CMD_OK && l.n > 0 && !offline)
		code = ask(&l);
	if (code == CMD_OK)
		code = show(&l, c->json);
	end(&l);
	return code;
}
