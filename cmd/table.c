/* SPDX-License-Identifier: ISC */
#include "cmd/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	KEPT_ROWS = 200, /* that decide the widths */
	CELL_MAX = 64 * 1024,
	NARROWEST = 8,
	GAP = 2,
	WIDTH_OTHERWISE = 80,
};

struct table {
	const struct column *columns;
	size_t               n;
	struct buf          *kept; /* cells of the rows that are not printed yet */
	size_t               n_kept, rows;
	size_t              *widths;
	bool                 started; /* the head is out */
	bool                 tty;
};

bool
output_is_tty(void)
{
	return isatty(STDOUT_FILENO) == 1;
}

static bool
may_colour(void)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return output_is_tty() && (no == NULL || *no == '\0') && term != NULL &&
	       strcmp(term, "dumb") != 0;
}

static size_t
terminal_width(void)
{
	struct winsize w;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
		return w.ws_col;
	return WIDTH_OTHERWISE;
}

/* Characters of UTF-8 text: every octet that does not continue one. */
static size_t
count_chars(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

/* The first `n` characters. */
static struct str
first_chars(struct str s, size_t n)
{
	size_t i = 0;

	while (i < s.n) {
		if (((unsigned char)s.p[i] & 0xc0) != 0x80 && n-- == 0)
			break;
		i++;
	}
	return str_sub(s, 0, i);
}

static void
show_text(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		/* C1 controls are 0xc2 0x80 to 0x9f in UTF-8. */
		bool c1 = i > 0 && (unsigned char)s.p[i - 1] == 0xc2 && c >= 0x80 && c < 0xa0;

		if (c1)
			buf_truncate(out, out->n - 1);
		buf_addc(out, c < ' ' || c == 0x7f || c1 ? '?' : s.p[i]);
	}
}

static void
show_size(struct buf *out, uint64_t octets)
{
	static const char units[] = " KMGTP";
	double            value = (double)octets;
	size_t            unit = 0;

	while (value >= 1023.5 && units[unit + 1] != '\0') {
		value /= 1024;
		unit++;
	}
	if (unit == 0)
		buf_addf(out, "%u", (unsigned)octets);
	else
		buf_addf(out, value < 9.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
}

static void
show_time(struct buf *out, int64_t ms)
{
	time_t    at = (time_t)(ms / 1000);
	struct tm tm;
	char      text[32];

	if (localtime_r(&at, &tm) != NULL &&
	    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm) > 0)
		buf_addz(out, text);
}

void
show_value(struct buf *out, enum show show, struct str value)
{
	uint64_t n;

	if (show == SHOW_TEXT || !str_number(value, INT64_MAX, &n))
		show_text(out, value);
	else if (show == SHOW_SIZE || show == SHOW_KIB)
		show_size(out, show == SHOW_KIB ? n * 1024 : n);
	else if (show == SHOW_NUMBER)
		buf_addn(out, n);
	else if (n == 0)
		buf_addc(out, '-');
	else if (show == SHOW_FLAG)
		buf_addz(out, "yes");
	else if (show == SHOW_SPAN_MS)
		time_format_span(out, (int64_t)n);
	else
		show_time(out, (int64_t)n);
}

static bool
is_right(const struct column *c)
{
	return c->show != SHOW_TEXT && c->show != SHOW_TIME_MS && c->show != SHOW_FLAG;
}

static void
pad(size_t n)
{
	while (n-- > 0)
		putchar(' ');
}

static void
print_cell(const struct table *t, size_t i, struct str text)
{
	size_t chars = count_chars(text), width = t->widths[i];
	bool   cut = t->tty && !t->columns[i].keep && chars > width;

	if (cut) {
		text = first_chars(text, width - 1);
		chars = width;
	}
	if (is_right(&t->columns[i]) && chars < width)
		pad(width - chars);
	if (text.n > 0)
		fwrite(text.p, 1, text.n, stdout);
	if (cut)
		putchar('~');
	if (i + 1 == t->n)
		putchar('\n');
	else
		pad((is_right(&t->columns[i]) || chars >= width ? 0 : width - chars) + GAP);
}

/* Take from the widest until a row fits the terminal. */
static void
fit(struct table *t)
{
	size_t sum = (t->n - 1) * GAP, room = terminal_width();

	for (size_t i = 0; i < t->n; i++)
		sum += t->widths[i];
	while (sum > room) {
		size_t widest = t->n;

		for (size_t i = 0; i < t->n; i++)
			if (!t->columns[i].keep && t->widths[i] > NARROWEST &&
			    (widest == t->n || t->widths[i] > t->widths[widest]))
				widest = i;
		if (widest == t->n)
			return;
		t->widths[widest]--;
		sum--;
	}
}

static void
print_head(struct table *t)
{
	bool bold = may_colour();

	for (size_t i = 0; i < t->n; i++) {
		t->widths[i] = strlen(t->columns[i].head);
		for (size_t k = 0; k < t->n_kept; k++) {
			size_t chars = count_chars(buf_str(&t->kept[k * t->n + i]));

			if (chars > t->widths[i])
				t->widths[i] = chars;
		}
	}
	if (t->tty)
		fit(t);
	if (bold)
		fputs("\033[1m", stdout);
	for (size_t i = 0; i < t->n; i++)
		print_cell(t, i, str_of(t->columns[i].head));
	if (bold)
		fputs("\033[0m", stdout);
	t->started = true;
}

static void
print_kept(struct table *t)
{
	if (!t->started && t->rows > 0)
		print_head(t);
	for (size_t k = 0; k < t->n_kept * t->n; k++) {
		print_cell(t, k % t->n, buf_str(&t->kept[k]));
		buf_free(&t->kept[k]);
	}
	t->n_kept = 0;
	fflush(stdout);
}

struct table *
table_create(const struct column *columns, size_t n)
{
	struct table *t = mem_zero(sizeof *t);

	t->columns = columns;
	t->n = n;
	t->kept = mem_array(KEPT_ROWS * n, sizeof *t->kept);
	t->widths = mem_array(n, sizeof *t->widths);
	t->tty = output_is_tty();
	return t;
}

void
table_add(struct table *t, const struct str *cells)
{
	for (size_t i = 0; i < t->n; i++) {
		struct buf *b = &t->kept[t->n_kept * t->n + i];

		buf_init(b, CELL_MAX);
		show_value(b, t->columns[i].show, cells[i]);
	}
	t->n_kept++;
	t->rows++;
	if (t->started || t->n_kept == KEPT_ROWS)
		print_kept(t);
}

size_t
table_rows(const struct table *t)
{
	return t->rows;
}

void
table_finish(struct table *t)
{
	print_kept(t);
	free(t->kept);
	free(t->widths);
	free(t);
}
