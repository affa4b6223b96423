/* SPDX-License-Identifier: ISC */
/*
 * disk - what the files of the disk store share; nobody else includes this.
 *
 * store_disk.c has the operations, store_lease.c leases and settling, store_list.c listing; log.c appends
 * batches (batch.h), recovery.c and hint.c read them again, reclaim.c frees old segments,
 * big.c keeps bodies that are too large for the log.
 */
#ifndef QUEUE_DISK_H
#define QUEUE_DISK_H

#include "lib/net/loop.h"
#include "lib/util/buf.h"
#include "queue/batch.h"
#include "queue/commit.h"
#include "queue/index.h"
#include "queue/segment.h"
#include "queue/shelf.h"
#include "queue/store.h"
#include "queue/store_disk.h"

struct disk;
struct part_text;

/* A record in memory, on its way to the disk or kept for the first attempt. */
struct block {
	struct link   link;
	struct record r;   /* seq, batch and sums are set when it is written */
	uint32_t      off; /* where it was written */
	uint32_t      span;
	uint32_t      part;     /* STATE */
	bool          answered; /* DONE: its end was told early, for lack of room */
	int           big_fd;   /* MSG with RECORD_BIG: of its body */
	/* Once, when it is on disk (error 0) or cannot get there. True: it keeps the block, else the log frees it. */
	bool (*done)(struct disk *d, struct block *b, int error);
	void           *owner;  /* MSG: its store_put */
	int64_t         due_ms; /* STATE, MSG: what comes when it is on disk; MSG: 0 is leases */
	enum part_state state;
	store_done_fn  *fn; /* STATE, DONE: whom to tell */
	void           *arg;
	struct link     warm;   /* MSG: in disk.warm, oldest first */
	uint8_t         data[]; /* `span` octets: header, envelope, part lines, body, zeros */
};

struct log {
	struct list     pending;
	struct list     held; /* new messages that wait for old ones to be moved */
	size_t          held_bytes;
	size_t          pending_msgs, pending_bytes;
	struct batch    batches[2];
	struct batch   *running, *next; /* in the thread, and ready for it behind that; NULL: none */
	uint8_t        *zeros;          /* behind batches */
	unsigned        failures; /* batches that failed in a row */
	int             last_error;
	uint64_t        next_batch;
	struct segment *active, *spare;
	struct job      make_job;
	struct segment *making;   /* the next spare, in the hands of the thread */
	bool            no_spare; /* it could not be had */
	struct deferred begin;
	struct timer   *late, *retry;
	int64_t         late_ms;  /* how long a state waits for company */
	int64_t         looked_ms; /* when the room on the file system was last asked for */
	struct buf      hint; /* of the active segment */
};

/* A live lease. */
struct claim {
	struct heap_node until;
	struct part     *part;
	uint64_t         token;
};

/* Something to be said when the running call is over. */
struct later {
	struct link link;
	void (*run)(struct disk *d, struct later *l); /* frees it */
};

struct reclaim {
	struct segment *from; /* being emptied; NULL: nothing to do */
	uint32_t        at;
	uint8_t        *data;      /* its octets from `begin` on */
	uint32_t        begin, have, cap;
	unsigned        moving;    /* MOVE records on their way, */
	size_t          bytes;     /* and theirs, with those that have just arrived */
	bool            retiring;  /* a segment is on its way out */
	uint32_t        stuck_seq; /* the segment tried last */
	struct deferred step;
	struct timer   *again;
};

struct disk {
	struct store               base; /* first */
	struct loop               *loop;
	struct store_disk_conf     conf;
	const struct store_events *events;
	void                      *arg;
	const struct io           *io;
	int                        dirfd, bigfd;
	struct segments            segments;
	struct index               index;
	struct shelves             shelves;
	struct heap                claims; /* by deadline, monotonic: a clock that is set ends no lease */
	uint64_t                   next_token;
	struct list                warm; /* blocks, oldest first */
	size_t                     warm_bytes;
	struct commit             *commit, *bulk; /* NULL: read only; bulk: for large bodies */
	struct log                 log;
	struct reclaim             reclaim;
	struct list                laters;
	struct list                settling; /* laters that go on when the next state is on disk */
	struct deferred            speak;
	struct timer              *tick;
	int                        state; /* enum store_state, or -1 before the first word */
	bool                       state_news;
	char                       state_why[160];
	uint64_t                   total_bytes, n_syncs, n_commits;
	unsigned                   n_jobs;  /* housekeeping in the thread */
	unsigned                   damages; /* found at the start */
	bool                       room_wanted, room_owed;
	bool                       ready; /* recovered, and not read only */
	void (*closed)(void *arg);        /* set while closing */
	void *closed_arg;
};

/* disk_call.c: what comes after the running call. */
void disk_say(struct disk *d, struct later *l);
void disk_say_result(struct disk *d, store_done_fn *fn, void *arg, enum store_result result);
void disk_say_change(struct disk *d, uint64_t id, const char *what, struct str why);
void disk_speak_soon(struct disk *d); /* events and laters wait */
void disk_settled(struct disk *d);    /* a state is on disk */
void disk_set_tick(struct disk *d);   /* after any change to what comes due */
void disk_start_calls(struct disk *d);
void disk_stop_calls(struct disk *d);

/* log.c */
struct block      *
block_create(enum record_type type, uint64_t id, size_t env, size_t parts, size_t body);
void block_unref_warm(struct disk *d, struct msg *m); /* the body in memory is of no more use */
void log_open(struct disk *d);
void log_close(struct disk *d);
void log_add(struct disk *d, struct block *b);
void log_flush(struct disk *d); /* no waiting for company */
void log_admit(struct disk *d); /* what was held back goes on if it may */
bool log_idle(const struct disk *d);
void log_seal_now(struct disk *d); /* at the end of life: SEAL and hint */
void log_update_state(struct disk *d);
struct job *disk_job(struct disk *d); /* housekeeping: freed by itself after its end */
void        disk_job_start(struct disk *d, struct job *job);
void        disk_job_end(struct job *job); /* what its `done` does at last */

/* What a record says, from the log or from a hint. */
struct found_part {
	struct str lane;
	uint32_t   n_rcpts; /* that wait */
	int64_t    due_ms;
	uint16_t   tries;
	uint8_t    state; /* enum part_state */
	bool       noticed;
};
struct found {
	enum record_type   type;
	unsigned           flags; /* RECORD_* */
	uint64_t           id;
	uint32_t           off, meta_len, size, accepted_s;
	uint32_t           part;   /* STATE: number of its only part */
	uint32_t           origin; /* DONE: segment of the message; 0: more than one */
	struct found_part *parts;
	uint32_t           n_parts;
};

/* recovery.c */
bool     recovery_run(struct disk *d, struct buf *why) MUST_USE;
void     recovery_replay(struct disk *d, struct segment *g, const struct found *f);
uint32_t envelope_accepted_s(struct str envelope);

/* hint.c */
void hint_add(struct buf *hint, const struct found *f);
/* Replays; false: there is none, or it is not good. `data`: room for SEGMENT_MAX octets. */
bool hint_load(struct disk *d, struct segment *g, uint8_t *data);
enum hint_state { HINT_NONE, HINT_GOOD, HINT_BAD };
enum hint_state hint_look(struct disk *d, struct segment *g, uint8_t *data); /* for fsck: its sum */
void hint_write(struct disk *d, struct segment *g, const struct buf *hint); /* in the background */

/* reclaim.c */
void reclaim_open(struct disk *d);
void reclaim_close(struct disk *d);
void reclaim_check(struct disk *d); /* some segment may have died, or must be emptied */
bool reclaim_is_behind(const struct disk *d); /* new mail must wait: log_admit() */
void reclaim_give_up(struct disk *d, struct block *b); /* a MOVE taken off the list; frees it */

/* big.c */
int  big_create(struct disk *d, uint64_t id);              /* descriptor of big/<id>.tmp, or -1 */
void big_drop(struct disk *d, uint64_t id, bool finished); /* unlink in the background */
/* Sync the body of a MSG record, name it and make its sum; then the record goes to the log, or is refused. */
void big_save(struct disk *d, struct block *b);
/* Compare a body with its sum, off the loop. The part is on no list; it comes back when that is done, or is held. */
void big_check(struct disk *d, struct part *p, uint64_t sum, int fd);
int  big_open(struct disk *d, uint64_t id,
              uint64_t size);   /* for reading; -1: not there or of another size */
void big_sweep(struct disk *d); /* files that belong to no message */

/* msg.c: entries of the index and where they are. */
void msg_place(struct disk *d, struct msg *m, struct segment *g, uint32_t off);
void msg_unplace(struct disk *d, struct msg *m);
void msg_forget(struct disk *d, struct msg *m); /* done: off all lists, out of the index */
void msg_damage(struct disk *d, struct msg *m, const char *why);
void part_wait(struct disk *d, struct part *p, int64_t due_ms);
void part_hold(struct disk *d, struct part *p);
void part_unlist(struct disk *d, struct part *p); /* off its list; a lease on it ends */
void part_set_lane(struct disk *d, struct part *p, struct str lane);

/* A record read from memory or disk, its checksums compared. */
struct loaded {
	uint8_t      *data; /* owned if `owned` */
	bool          owned;
	struct record r;
	struct str    envelope, parts, body;
};
bool msg_load(struct disk *d, struct msg *m, bool body, struct loaded *out) MUST_USE;
void loaded_free(struct loaded *l);

/*
 * The part lines of `p` as the disk knows them, from its STATE record or from
 * `from`, its message. False: damaged. Texts borrow from `from` and `data`, which the
 * caller frees after part_free().
 */
bool part_load(struct disk *d, struct part *p, const struct loaded *from, struct part_text *text,
               uint8_t **data) MUST_USE;

/* store_lease.c */
void     disk_lease(struct store *s, const struct store_wish *w, store_lease_fn *fn, void *arg);
void     disk_renew(struct store *s, uint64_t id, uint32_t part, uint64_t token, int64_t lease_ms);
void     disk_settle(struct store *s, const struct store_lease *l, const struct store_outcome *o,
                     store_done_fn *fn, void *arg);
uint64_t lease_take(struct disk *d, struct part *p, int64_t lease_ms); /* the token */
void     lease_end(struct disk *d, struct part *p); /* the part is on no list then */
void     lease_expire(struct disk *d);

/* store_put.c */
struct store_put *disk_put(struct store *s, uint64_t id, int *spill_fd);
bool              disk_write(struct store_put *p, struct str octets);
void
disk_commit(struct store_put *p, const struct store_message *m, store_commit_fn *fn, void *arg);
void disk_abort(struct store_put *p);
void put_room(struct disk *d); /* after each batch: refused writes may go on */

/* store_list.c */
void disk_body(struct store *s, uint64_t id, uint64_t at, size_t max, store_body_fn *fn, void *arg);
void disk_list(struct store *s, const struct store_filter *f, struct store_cursor *c,
               store_row_fn *fn, void *arg);

/* store_act.c */
void disk_act(struct store *s, const struct store_filter *f, enum store_action a, store_act_fn *fn,
              void *arg);

/* The part, on no list, becomes what `text` says once that is on the disk; till then it is SETTLING. */
void settle_write(struct disk *d, struct part *p, const struct part_text *text, store_done_fn *fn,
                  void *arg);
/* The end of the whole message, whatever its parts are doing. */
void settle_end(struct disk *d, struct msg *m, store_done_fn *fn, void *arg);

/* filter.c */
enum { FILTER_TURN_US = 2000 }; /* what a listing or an action takes of each turn of the loop */

/* The next message but for conditions on its text; NULL: at the end (c->end), or the time is up. */
struct msg *filter_next(const struct disk *d, const struct store_filter *f, struct store_cursor *c,
                        int64_t until_us);
bool filter_wants_text(const struct store_filter *f);
bool filter_matches(const struct store_filter *f, const struct store_row *row); /* from and to */
enum store_status part_status(const struct msg *m, const struct part *p);
bool filter_part(const struct store_filter *f, const struct msg *m, const struct part *p);

#endif
