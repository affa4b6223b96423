/* SPDX-License-Identifier: ISC */
/*
 * core - what the files of the queue role share, above the store.
 *
 * intake.c talks to smtpd, dispatch.c to delivery, outcome.c decides what a reply
 * means, report.c sends bounces, request.c answers commands, import.c takes in
 * mail of another host and imported.c remembers which, pause.c what is paused.
 */
#ifndef QUEUE_CORE_H
#define QUEUE_CORE_H

#include "lib/mail/envelope.h"
#include "lib/mail/ids.h"
#include "lib/mail/reply.h"
#include "lib/net/loop.h"
#include "lib/proc/config.h"
#include "lib/proc/wire.h"
#include "lib/util/hash.h"
#include "lib/util/heap.h"
#include "lib/util/list.h"
#include "queue/gated.h"
#include "queue/imported.h"
#include "queue/pace.h"
#include "queue/pause.h"
#include "queue/schedule.h"
#include "queue/store.h"

struct dispatch;
struct intake;
struct queue;
struct role;

enum { LEASE_MS = 5 * 60 * 1000 /* renewed while its worker lives */, HOPS_MAX = 50 };

struct queue {
	struct role     *role; /* NULL: offline */
	struct loop     *loop;
	struct config   *config;
	struct store    *store; /* NULL until open, and after the end */
	struct dispatch *dispatch;
	struct intake   *intake;
	struct list      requests, imports;
	struct store_stats last;  /* what the store last counted */
	unsigned         n_watchers; /* requests that want to hear of every outcome */
	struct pauses    pauses;
	struct imported  imported;
	struct gated     gated;
	struct paces     paces; /* of logins and networks that have limits */
	int              dirfd; /* of the spool, for the store */
	bool             going, ready, draining, closing;
	enum store_state state;
	char             state_why[160];
	struct timer    *drain_end;
	struct timer    *reopen; /* set while the spool cannot be opened */
	struct timer    *reread; /* set while the file of what is paused cannot be read */
	struct list      settling, reports; /* outcomes that are being reported and written */
	int64_t          drain_until_ms; /* monotonic */
	uint64_t         n_delivered, n_deferred, n_bounced, n_expired, n_accepted;
};

struct schedule queue_schedule(const struct queue *q);

/* ---- dispatch.c ---- */

struct attempt_rcpt {
	uint32_t   index;
	unsigned   notify;
	struct str to;
};

/* A part in somebody's hands. Owns its texts; ends with dispatch_end(). */
struct attempt {
	struct hash_node      node; /* by id, part */
	struct link           link; /* in its worker's list */
	uint64_t              id;
	uint32_t              part;
	uint64_t              token;
	unsigned              tries; /* before this one */
	bool                  noticed;
	struct worker        *worker; /* NULL: nobody tries it, the queue itself decides */
	struct dispatch_lane *lane;
	int64_t               accepted_ms, since_ms;
	uint64_t              size;
	struct str            from, lane_name;
	size_t                n_rcpts;
	struct attempt_rcpt   rcpts[];
};

struct dispatch *dispatch_create(struct queue *q);
void             dispatch_destroy(struct dispatch *d); /* with the outcomes; store_close() follows at once */
void dispatch_peer(struct dispatch *d, unsigned index, int fd); /* a channel to a delivery role */
/* A lease that commit gave: sent now if that can be, else given back to the store. Takes l->fd. */
void dispatch_offer(struct dispatch *d, const struct store_lease *l);
void dispatch_work(struct dispatch *d, struct str lane); /* the store has something for the lane */
void dispatch_resumed(struct dispatch *d);               /* pauses have changed */
/* An administrator wants to see: lanes (all, or one) rest no longer, the next part of each is a probe. */
void            dispatch_retry(struct dispatch *d, struct str lane);
/*
 * The part waits because the lane failed, and that is on the disk now. If the lane has worked again meanwhile,
 * what was released then has missed it: it is due at once.
 */
void            dispatch_waits(struct dispatch *d, struct str lane, uint64_t id);
size_t          dispatch_active(const struct dispatch *d);
void            dispatch_end(struct dispatch *d, struct attempt *a); /* settled: frees it */
struct attempt *attempt_create(const struct store_lease *l); /* NULL: its envelope cannot be read */
struct store_lease attempt_lease(const struct attempt *a);   /* what settle needs */
/* Why a lane rests, and until when (0: it does not). Texts valid until the lane changes. */
int64_t dispatch_lane_rest(const struct dispatch *d, struct str lane, struct str *why);
void    dispatch_stats(const struct dispatch *d, struct buf *rows);

/* ---- outcome.c ---- */

struct outcome {
	const struct reply *replies; /* one for each recipient of the attempt */
	unsigned            scope;   /* SCOPE_* */
	bool                relayed_dsn;
	struct str          mta, facts, dkim;
};

/* Logs, bounces, settles; then dispatch_end(). Texts are borrowed for the call. */
void outcome_apply(struct queue *q, struct attempt *a, const struct outcome *o);
/* A part of a lane that rests: expires, or its sender is told of the delay. */
void outcome_sweep(struct queue *q, struct attempt *a, struct reply last);
/* Forgets what is under way, reports included: the store is closing and answers no more. */
void outcomes_end(struct queue *q);

/* ---- report.c ---- */

enum report_kind { REPORT_FAILED = 1, REPORT_DELAYED, REPORT_RELAYED };

struct report_rcpt {
	uint32_t     index; /* in the parent's envelope */
	struct reply reply;
	struct str   mta; /* who said so; empty: we did */
};

/*
 * Put a report to the sender of `a`; `done` comes once, later, and says whether it is durable (or not needed).
 * Texts are copied. Its id comes from the parent's, so the same report put twice is one.
 */
void report_send(struct queue *q, const struct attempt *a, enum report_kind kind,
                 const struct report_rcpt *rcpts, size_t n, void (*done)(void *arg, bool ok), void *arg);
void reports_end(struct queue *q); /* as outcomes_end(), which calls it */

/* ---- intake.c ---- */

struct intake *intake_create(struct queue *q);
void           intake_destroy(struct intake *in);
void           intake_peer(struct intake *in, unsigned index, int fd);
bool           intake_is_busy(const struct intake *in); /* messages are on their way to the disk */
void           intake_state(struct intake *in); /* tell every smtpd whether mail can be taken */

struct intake_mail {
	struct str envelope;
	uint64_t   size;
	bool       derived;
	int64_t    due_ms; /* 0: now */
	struct str why;    /* of a later due_ms */
};

/*
 * Put a whole message: groups the recipients into parts by lane. False if the envelope
 * is no envelope or the store takes nothing; then `fn` does not come.
 */
bool intake_put(struct queue *q, struct store_put *p, const struct intake_mail *mail,
                store_commit_fn *fn, void *arg);

/* ---- request.c ---- */

/* Each watcher gets the fields of an outcome as a row. */
struct kv;
void requests_tell(struct queue *q, const struct kv *fields);
void request_start(struct queue *q, struct str request, int fd);
void requests_end(struct queue *q);

/* ---- import.c ---- */

/* `again`: mail that has come and gone is taken once more. */
void import_start(struct queue *q, int fd, bool again);
void imports_end(struct queue *q);

#endif
