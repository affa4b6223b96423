/* SPDX-License-Identifier: ISC */
#include "lib/util/time.h"

#include <time.h>

#include "lib/util/buf.h"

static int64_t (*hooked_wall_ms)(void);
static int64_t (*hooked_mono_us)(void);

static int64_t
clock_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t
time_wall_ms(void)
{
	return hooked_wall_ms != NULL ? hooked_wall_ms() : clock_us(CLOCK_REALTIME) / 1000;
}

int64_t
time_mono_us(void)
{
	return hooked_mono_us != NULL ? hooked_mono_us() : clock_us(CLOCK_MONOTONIC);
}

int64_t
time_mono_ms(void)
{
	return time_mono_us() / 1000;
}

void
time_hook(int64_t (*wall_ms)(void), int64_t (*mono_us)(void))
{
	hooked_wall_ms = wall_ms;
	hooked_mono_us = mono_us;
}

static void
add_digits(struct buf *out, int64_t number, size_t n, char then)
{
	char text[8];

	text[n] = then;
	for (size_t i = n; i-- > 0; number /= 10)
		text[i] = (char)('0' + number % 10);
	buf_add(out, (struct str){text, n + 1});
}

/*
 * Calendar from days since 1970, in years that begin in March, so that the leap
 * day is the last of a year. gmtime_r() takes a lock and is on the way of each
 * log line.
 */
static void
add_date(struct buf *out, int64_t days)
{
	int64_t shifted = days + 719468; /* from 0000-03-01 */
	int64_t era = shifted / 146097;  /* of 400 years */
	int64_t day = shifted % 146097;
	int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	int64_t month;

	day -= 365 * year + year / 4 - year / 100;
	month = (5 * day + 2) / 153;
	day -= (153 * month + 2) / 5 - 1;
	month += month < 10 ? 3 : -9;
	add_digits(out, era * 400 + year + (month <= 2), 4, '-');
	add_digits(out, month, 2, '-');
	add_digits(out, day, 2, 'T');
}

void
time_format_rfc3339(struct buf *out, int64_t wall_ms)
{
	int64_t ms = wall_ms > 0 ? wall_ms : 0;
	int64_t s = ms / 1000;

	add_date(out, s / 86400);
	add_digits(out, s / 3600 % 24, 2, ':');
	add_digits(out, s / 60 % 60, 2, ':');
	add_digits(out, s % 60, 2, '.');
	add_digits(out, ms % 1000, 3, 'Z');
}

void
time_format_seconds(struct buf *out, int64_t ms)
{
	uint64_t size = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
	char     decimals[] = {'.', (char)('0' + size / 100 % 10), (char)('0' + size / 10 % 10),
	                       (char)('0' + size % 10)};

	if (ms < 0)
		buf_addc(out, '-');
	buf_addn(out, size / 1000);
	buf_add(out, (struct str){decimals, sizeof decimals});
}

void
time_format_span(struct buf *out, int64_t ms)
{
	static const struct {
		const char *name;
		int64_t     ms;
	} units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}};
	int64_t rest;
	size_t  i = 0;

	if (ms < 1000) {
		buf_addf(out, ms > 0 ? "%lldms" : "0s", (long long)ms);
		return;
	}
	while (ms < units[i].ms)
		i++;
	buf_addf(out, "%lld%s", (long long)(ms / units[i].ms), units[i].name);
	rest = ms % units[i++].ms;
	if (i < ARRAY_LEN(units) && rest >= units[i].ms)
		buf_addf(out, "%lld%s", (long long)(rest / units[i].ms), units[i].name);
}

bool
time_parse_span(struct str s, int64_t *ms)
{
	static const struct {
		char    unit;
		int64_t ms;
	} units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
	uint64_t n;
	int64_t  factor = 1000;

	for (size_t i = 0; s.n > 0 && i < ARRAY_LEN(units); i++)
		if (s.p[s.n - 1] == units[i].unit) {
			factor = units[i].ms;
			s.n--;
			break;
		}
	if (!str_number(s, 100000000, &n))
		return false;
	*ms = (int64_t)n * factor;
	return true;
}
