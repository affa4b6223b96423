/* SPDX-License-Identifier: ISC */
#include "lib/mail/date.h"

static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char weekdays[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};

/* RFC 5322 section 4.3; single letters and unknown names mean "unknown" and count as UTC. */
static const struct {
	char name[4];
	int  hours;
} zones[] = {
	{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5},
	{"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7},
};

enum { DAY_S = 24 * 60 * 60 };

/*
 * Days since 1970 of a date in the proleptic Gregorian calendar. Years are taken to
 * begin in March, so that the leap day is the last of its year and months have a formula.
 */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t m = month <= 2 ? month + 9 : month - 3;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool
is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t
month_days(int64_t year, int64_t month)
{
	static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

static void
add_two(struct buf *out, int64_t n)
{
	buf_addc(out, (char)('0' + n / 10 % 10));
	buf_addc(out, (char)('0' + n % 10));
}

void
date_format(struct buf *out, int64_t wall_ms)
{
	int64_t s = wall_ms < 0 ? 0 : wall_ms / 1000;
	int64_t days = s / DAY_S, year = 1970 + days / 366, month = 1, left;

	/* The guess is never late, and early by one year in four centuries at most a few times. */
	while (days_of(year + 1, 1, 1) <= days)
		year++;
	left = days - days_of(year, 1, 1);
	for (; left >= month_days(year, month); month++)
		left -= month_days(year, month);

	buf_addz(out, weekdays[days % 7]);
	buf_addz(out, ", ");
	add_two(out, left + 1);
	buf_addc(out, ' ');
	buf_addz(out, months[month - 1]);
	buf_addc(out, ' ');
	buf_addn(out, (uint64_t)year);
	buf_addc(out, ' ');
	add_two(out, s % DAY_S / 3600);
	buf_addc(out, ':');
	add_two(out, s % 3600 / 60);
	buf_addc(out, ':');
	add_two(out, s % 60);
	buf_addz(out, " +0000");
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Cut off white space and comments; comments need not close at the end. */
static void
skip_blank(struct str *rest)
{
	size_t depth = 0, i = 0;

	for (; i < rest->n; i++) {
		char c = rest->p[i];

		if (c == '(')
			depth++;
		else if (depth > 0 && c == '\\')
			i++;
		else if (depth > 0 && c == ')')
			depth--;
		else if (depth == 0 && !is_blank(c))
			break;
	}
	*rest = str_skip(*rest, i);
}

/* A run of digits or of letters; its kind shows in the first octet. */
static struct str
cut_run(struct str *rest)
{
	size_t     n = 0;
	bool       digits;
	struct str run;

	skip_blank(rest);
	digits = rest->n > 0 && rest->p[0] >= '0' && rest->p[0] <= '9';
	for (; n < rest->n; n++) {
		char c = rest->p[n], lower = (char)(c | 0x20);

		if (digits ? c < '0' || c > '9' : lower < 'a' || lower > 'z')
			break;
	}
	run = str_sub(*rest, 0, n);
	*rest = str_skip(*rest, n);
	return run;
}

static bool
cut_char(struct str *rest, char c)
{
	skip_blank(rest);
	if (rest->n == 0 || rest->p[0] != c)
		return false;
	*rest = str_skip(*rest, 1);
	return true;
}

static bool
cut_number(struct str *rest, uint64_t max, int64_t *number)
{
	struct str run = cut_run(rest);
	uint64_t   n;

	if (run.n == 0 || run.n > 4 || !str_number(run, max, &n))
		return false;
	*number = (int64_t)n;
	return true;
}

static bool
cut_month(struct str *rest, int64_t *month)
{
	struct str run = cut_run(rest);

	for (size_t i = 0; i < ARRAY_LEN(months); i++)
		if (str_ieq(run, str_of(months[i]))) {
			*month = (int64_t)i + 1;
			return true;
		}
	return false;
}

/* Two digits are of 1950 to 2049, three count from 1900 (RFC 5322 section 4.3). */
static bool
cut_year(struct str *rest, int64_t *year)
{
	struct str run = cut_run(rest);
	uint64_t   n;

	if (run.n < 2 || run.n > 4 || !str_number(run, 9999, &n))
		return false;
	*year = (int64_t)n;
	if (run.n == 2)
		*year += n < 50 ? 2000 : 1900;
	else if (run.n == 3)
		*year += 1900;
	return *year >= 1900;
}

static bool
cut_zone(struct str *rest, int64_t *offset_s)
{
	struct str run;
	bool       minus;
	uint64_t   n;

	skip_blank(rest);
	*offset_s = 0;
	minus = rest->n > 0 && rest->p[0] == '-';
	if (minus || cut_char(rest, '+')) {
		*rest = str_skip(*rest, minus ? 1 : 0);
		run = cut_run(rest);
		if (run.n != 4 || !str_number(run, 9959, &n) || n % 100 > 59)
			return false;
		*offset_s = (int64_t)(n / 100 * 3600 + n % 100 * 60) * (minus ? -1 : 1);
		return true;
	}
	run = cut_run(rest);
	for (size_t i = 0; i < ARRAY_LEN(zones); i++)
		if (str_ieq(run, str_of(zones[i].name)))
			*offset_s = zones[i].hours * 3600;
	return run.n > 0 && (run.p[0] < '0' || run.p[0] > '9');
}

static bool
cut_weekday(struct str *rest)
{
	struct str before = *rest, run = cut_run(rest);

	for (size_t i = 0; i < ARRAY_LEN(weekdays); i++)
		if (str_ieq(run, str_of(weekdays[i])))
			return cut_char(rest, ',');
	*rest = before;
	return run.n > 0 && run.p[0] >= '0' && run.p[0] <= '9';
}

static bool
cut_time(struct str *rest, int64_t *seconds)
{
	int64_t hour, minute, second = 0;

	if (!cut_number(rest, 23, &hour) || !cut_char(rest, ':') || !cut_number(rest, 59, &minute))
		return false;
	if (cut_char(rest, ':') && !cut_number(rest, 60, &second))
		return false;
	*seconds = hour * 3600 + minute * 60 + second;
	return true;
}

bool
date_parse(struct str text, int64_t *wall_ms)
{
	struct str rest = text;
	int64_t    day, month, year, seconds, offset_s;

	if (!cut_weekday(&rest) || !cut_number(&rest, 31, &day) || !cut_month(&rest, &month) ||
	    !cut_year(&rest, &year) || !cut_time(&rest, &seconds) || !cut_zone(&rest, &offset_s))
		return false;
	skip_blank(&rest);
	if (rest.n > 0 || day < 1 || day > month_days(year, month))
		return false;
	*wall_ms = (days_of(year, month, day) * DAY_S + seconds - offset_s) * 1000;
	return true;
}
