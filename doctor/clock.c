/* SPDX-License-Identifier: ISC */
/* A wrong clock makes signatures from the future and Date fields that look forged. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>

#include "doctor/peers.h"
#include "lib/mail/date.h"

enum { CLOCK_WARN_S = 60, CLOCK_FAIL_S = 300, DATE_WORDS = 6, DATE_MAX = 80 };

/* "mx.example ESMTP; Mon, 23 Nov 2026 10:07:11 +0000" and the like. */
static bool
find_date(struct str greeting, int64_t *ms)
{
	struct str word;

	while ((word = str_word(&greeting)).n > 0) {
		struct buf date = BUF(DATE_MAX);
		struct str rest = greeting;
		bool       ok;

		if (!str_ends(word, STR(",")) || word.n != 4)
			continue;
		buf_add(&date, word);
		for (size_t i = 1; i < DATE_WORDS; i++) {
			buf_addc(&date, ' ');
			buf_add(&date, str_word(&rest));
		}
		ok = !date.over && date_parse(buf_str(&date), ms);
		buf_free(&date);
		if (ok)
			return true;
	}
	return false;
}

/*
 * Seconds that our clock is ahead of those of peers; the one nearest to ours counts, for one of them may be
 * wrong himself. False: nobody has told the time.
 */
static bool
compare(struct exam *e, int64_t *ahead_s)
{
	bool    any = false;
	int64_t theirs, off;

	for (size_t i = 0; exam_may_connect(e) && i < PEERS; i++) {
		struct peer_talk p = peers_talk(e, i, 4);

		if (p.talk == NULL || p.talk->n == 0 ||
		    !find_date(p.talk->records[0].data, &theirs))
			continue;
		off = (p.talk->at_ms - theirs) / 1000;
		if (!any || llabs(off) < llabs(*ahead_s))
			*ahead_s = off;
		any = true;
	}
	return any;
}

static enum check_status
severity(int64_t off_s)
{
	return off_s > CLOCK_FAIL_S ? CHECK_FAIL : off_s > CLOCK_WARN_S ? CHECK_WARN : CHECK_PASS;
}

/* What the kernel says about itself: not how late it is, but whether somebody keeps it. */
static void
judge_own(struct finding *f)
{
	struct timex t = {0};
	int          state = adjtimex(&t);

	if (state < 0)
		finding_say(f, CHECK_SKIP, "the system does not tell how good its clock is: %s",
		            strerror(errno));
	else if (state == TIME_ERROR || (t.status & STA_UNSYNC) != 0)
		finding_say(f, CHECK_NOTE, "no time service says that it keeps the clock");
	else
		finding_say(f, CHECK_PASS, "the clock is kept by a time service");
}

void
check_clock(struct exam *e, const struct subject *s, struct finding *f)
{
	int64_t ahead_s = 0;

	(void)s;
	if (!compare(e, &ahead_s))
		judge_own(f);
	else if (severity(llabs(ahead_s)) != CHECK_PASS)
		finding_say(f, severity(llabs(ahead_s)), "the clock is %lld s %s those of others",
		            (long long)llabs(ahead_s), ahead_s > 0 ? "ahead of" : "behind");
	else
		finding_say(f, CHECK_PASS, "the clock agrees with those of others");
	if (f->status >= CHECK_WARN)
		finding_fix(f, "Run chrony or systemd-timesyncd.");
}
