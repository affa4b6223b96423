/* SPDX-License-Identifier: ISC */
#include "cmd/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/table.h"
#include "lib/util/time.h"

enum { BEGIN_MS = 1000, REDRAW_MS = 200, BAR = 24, LINE_BYTES = 256 };

void
progress_begin(struct progress *p, const char *what)
{
	const char *term = getenv("TERM");

	*p = (struct progress){
		.what = what,
		.on = isatty(STDERR_FILENO) && term != NULL && strcmp(term, "dumb") != 0,
		.since_ms = time_mono_ms(),
	};
}

static void
add_amount(struct buf *out, const struct progress *p, uint64_t n)
{
	struct buf text = BUF(32);

	buf_addn(&text, n);
	if (p->what != NULL)
		buf_add(out, buf_str(&text));
	else
		show_value(out, SHOW_SIZE, buf_str(&text));
	buf_free(&text);
}

static void
add_bar(struct buf *out, uint64_t done, uint64_t total)
{
	unsigned share = done >= total ? 100 : (unsigned)((double)done * 100 / (double)total);

	buf_addc(out, '[');
	for (unsigned i = 0; i < BAR; i++)
		buf_addc(out, i < share * BAR / 100 ? '=' : ' ');
	buf_addf(out, "] %3u %%  ", share);
}

void
progress_set(struct progress *p, uint64_t done, uint64_t total)
{
	struct buf line = BUF(LINE_BYTES);
	int64_t    now, took;
	double     rate;

	if (!p->on)
		return;
	now = time_mono_ms();
	took = now - p->since_ms;
	if (took < BEGIN_MS || now - p->last_ms < REDRAW_MS)
		return;
	p->last_ms = now;
	p->shown = true;
	rate = (double)done * 1000 / (double)took;
	if (total > 0)
		add_bar(&line, done, total);
	add_amount(&line, p, done);
	if (p->what != NULL)
		buf_addf(&line, " %s", p->what);
	buf_addz(&line, "  ");
	add_amount(&line, p, (uint64_t)rate);
	buf_addz(&line, "/s");
	if (total > done && rate > 0) {
		buf_addz(&line, "  ");
		time_format_span(&line, (int64_t)((double)(total - done) / rate) * 1000);
		buf_addz(&line, " left");
	}
	fprintf(stderr, "\r\033[K%s", buf_z(&line));
	buf_free(&line);
}

void
progress_wipe(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
