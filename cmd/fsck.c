/* SPDX-License-Identifier: ISC */
/* fsck - `queue fsck`: what a look at every octet of the spool finds. */
#include <stdio.h>
#include <string.h>

#include "cmd/daemon.h"
#include "cmd/export.h"
#include "cmd/offline.h"
#include "cmd/progress.h"
#include "lib/mail/ids.h"
#include "lib/util/json.h"
#include "queue/queue.h"

static const struct column columns[] = {
	{"file", "FILE", SHOW_TEXT, true},
	{"state", "STATE", SHOW_TEXT, true},
	{"id", "MESSAGE", SHOW_TEXT, true},
	{"text", "WHAT", SHOW_TEXT, false},
};

struct looking {
	struct cmd     *c;
	struct table   *table;
	struct progress progress;
};

static void
print_json(const struct fsck_news *n, struct str id)
{
	struct buf  line = BUF(4096);
	struct json j = {.out = &line};

	json_open(&j, NULL, '{');
	json_str(&j, "file", str_of(n->file));
	json_str(&j, "state", n->good ? STR("good") : STR("damaged"));
	if (id.n > 0) {
		json_str(&j, "id", id);
		json_bool(&j, "queued", n->live);
	}
	json_str(&j, "text", n->what);
	json_close(&j, '}');
	puts(buf_z(&line));
	buf_free(&line);
}

static void
take_news(void *arg, const struct fsck_news *n)
{
	struct looking *l = arg;
	struct buf      id = BUF(64), what = BUF(1024);

	progress_wipe(&l->progress);
	if (n->id != 0)
		id_format(&id, n->id);
	if (l->c->json) {
		print_json(n, buf_str(&id));
	} else {
		buf_add(&what, n->what);
		if (n->id != 0 && !n->live)
			buf_addz(&what, " (the message is no longer in the queue)");
		table_add(l->table, (const struct str[]){str_of(n->file),
		                                         n->good ? STR("good") : STR("damaged"),
		                                         buf_str(&id), buf_str(&what)});
	}
	buf_free(&id);
	buf_free(&what);
}

static void
take_progress(void *arg, uint64_t done, uint64_t total)
{
	struct looking *l = arg;

	progress_set(&l->progress, done, total);
}

int
queue_check(struct cmd *c)
{
	static const struct fsck_hooks hooks = {take_news, take_progress};
	struct looking                 l = {.c = c};
	struct buf                     why = BUF(1024);
	int                            code, dirfd;
	long                           damages;

	if (!cmd_end(c))
		return CMD_USAGE;
	dirfd = offline_open(c, false, &code);
	if (dirfd < 0)
		return code;
	l.table = table_create(columns, ARRAY_LEN(columns));
	progress_begin(&l.progress, NULL);
	damages = queue_fsck(dirfd, &hooks, &l, &why);
	progress_wipe(&l.progress);
	table_finish(l.table);
	if (damages < 0)
		cmd_error("queue fsck", buf_z(&why), NULL);
	else if (damages > 0)
		fprintf(stderr, "%ld damage%s found; nothing was changed\n", damages,
		        damages == 1 ? "" : "s");
	buf_free(&why);
	return damages == 0 ? CMD_OK : CMD_FAILED;
}
