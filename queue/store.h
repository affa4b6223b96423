/* SPDX-License-Identifier: ISC */
/*
 * store - where mail is kept: the seam between the queue's rules and a disk.
 *
 * Twelve operations and four events; nothing above knows how a store keeps
 * its things. A message is cut into parts, one for each lane (destination); the
 * part is what is leased, settled, held. Rules that every store keeps, and that
 * tests/unit/queue/test_store.c checks:
 *
 *  - Everything is asynchronous. No callback and no event comes from inside a
 *    call; each callback comes once. Callbacks may be NULL where noted.
 *  - A commit that says OK survives the loss of power. Putting an id that is
 *    there, or a derived id that was there lately, is OK and changes nothing.
 *  - Commit leases the parts to the one who put them, but for parts on hold, and if no later time is given.
 *  - A part has one live lease at most. Each has a larger token than all before. With another token
 *    settle and renew say STALE and change nothing.
 *  - `due` is retry time and lease end at once: a lease that runs out makes the part due.
 *  - The last part that is done takes the message with it.
 *  - Leases come by due time as well as can be. A listing comes by age, oldest first and reports last,
 *    begins at once however long the queue is, and is no snapshot: each message that is there all
 *    the time comes exactly once, others perhaps.
 *  - UNKNOWN: it may or may not have been kept. The caller must not promise anything;
 *    the store makes sure that the message is not delivered later on.
 */
#ifndef QUEUE_STORE_H
#define QUEUE_STORE_H

#include "lib/mail/reply.h"
#include "lib/util/str.h"

struct store;
struct store_put;

enum store_result { STORE_OK, STORE_STALE, STORE_AGAIN, STORE_FULL, STORE_UNKNOWN, STORE_BAD };
enum store_state { STORE_OPEN, STORE_NO_ROOM, STORE_BROKEN };

typedef void store_done_fn(void *arg, enum store_result result);

enum part_state { PART_WAIT, PART_HOLD, PART_DONE };
enum rcpt_state { RCPT_WAIT, RCPT_SENT, RCPT_FAILED };

/* One recipient of a part: its place in the envelope, what became of it, and the last reply as text. */
struct store_rcpt {
	uint32_t        index;
	enum rcpt_state state;
	struct str      reply; /* reply_format(); empty: none yet */
};

struct store_part {
	struct str         lane;
	bool               hold;
	struct str         why; /* of a hold, or of a later `due_ms` */
	struct store_rcpt *rcpts;
	size_t             n_rcpts;
};

struct store_message {
	struct str envelope; /* text of lib/mail/envelope.h */
	uint64_t   size;     /* of the body */
	int64_t    accepted_ms;
	bool       derived; /* the id comes from a parent: remember it after it is done */
	int64_t    due_ms;  /* not 0: no part is leased by commit, all are due then */
	const struct store_part *parts; /* each recipient in exactly one */
	size_t                   n_parts;
};

/*
 * A lease as it is given. Texts, body and recipients are valid during the call
 * alone; `fd`, if not -1, holds the body instead and becomes the callee's.
 * `rcpts` are those that still wait.
 */
struct store_lease {
	uint64_t                 id;
	uint32_t                 part, n_parts;
	uint64_t                 token;
	unsigned                 tries;   /* attempts counted before this one */
	bool                     noticed; /* STORE_NOTICED was settled once */
	struct str               lane, envelope;
	const struct store_rcpt *rcpts;
	size_t                   n_rcpts;
	int64_t                  accepted_ms;
	uint64_t                 size;
	struct str               body;
	int                      fd;
};

/*
 * The end of a commit: leases of all parts that are not on hold (none unless OK).
 * NULL with OK: the id was there already, this message has not been kept.
 */
typedef void
store_commit_fn(void *arg, enum store_result result, const struct store_lease *leases, size_t n);

/* Once for each lease, then once with NULL. */
typedef void store_lease_fn(void *arg, const struct store_lease *lease);

struct store_wish {
	struct str lane;
	unsigned   max;
	int64_t    lease_ms;
	bool       body;            /* false: neither body nor fd is wanted */
	int64_t accepted_before_ms; /* not 0: only parts accepted before that, due or not in turn */
	bool    skip_noticed;
};

enum store_verdict {
	STORE_DONE,  /* every recipient of the part has its end; or the part is given up */
	STORE_DEFER, /* a counted attempt: again at due_ms */
	STORE_HOLD,  /* until released; `why` */
	STORE_RELEASE, /* not counted, nothing is written: the part is due at due_ms as if never leased */
	STORE_NOTICED, /* as RELEASE, but kept: the sender has been told of the delay */
	STORE_PUT_OFF, /* not counted: nobody was asked. Kept with its replies: again at due_ms */
};

/* `rcpts`: the new states of those the lease named, or fewer: the others stay as they were. */
struct store_outcome {
	enum store_verdict verdict;
	int64_t            due_ms;
	bool               noticed; /* with DEFER or PUT_OFF: the sender has been told of the delay as well */
	struct str         why;
	const struct store_rcpt *rcpts;
	size_t                   n_rcpts;
};

struct store_chunk {
	struct str envelope; /* all of it, in the first chunk */
	uint64_t   size;     /* of the body */
	struct str body;
	int        fd; /* a large body, in the only chunk; becomes the callee's; else -1 */
};

/* NULL: the message is not there or damaged. Comes once. */
typedef void store_body_fn(void *arg, const struct store_chunk *chunk);

enum store_status {
	STATUS_ANY,
	STATUS_READY,
	STATUS_ACTIVE,
	STATUS_DEFERRED,
	STATUS_HELD,
	STATUS_DAMAGED,
	STATUS_DONE /* in rows only */
};

/*
 * What list and act look for; zero means no condition. Filter and texts must live
 * as long as the operation, but for RETRY of what is DEFERRED in one lane and no other
 * condition: that is done in the call, at a cost that does not grow with the lane.
 */
struct store_filter {
	const struct str *ids; /* unique prefixes of ids as people see them, or */
	size_t            n_ids;
	const uint64_t   *exact; /* whole ids */
	size_t            n_exact;
	struct str        lane;     /* canonical domain */
	struct str        from, to; /* patterns of address_matches() */
	int64_t           older_ms; /* accepted before that moment; 0: any */
	enum store_status status;
};

struct store_row_part {
	uint32_t                 part;
	struct str               lane, why;
	enum store_status        status;
	int64_t                  due_ms; /* DEFERRED */
	unsigned                 tries;
	const struct store_rcpt *rcpts; /* all of the part */
	size_t                   n_rcpts;
};

struct store_row {
	uint64_t                     id;
	int64_t                      accepted_ms;
	uint64_t                     size;
	bool                         damaged;
	struct str                   envelope; /* empty if damaged beyond reading */
	const struct store_row_part *parts;
	size_t                       n_parts;
};

/* Where a listing stands; zeroed by the caller before the first page, freed by him after the last. */
struct store_cursor {
	uint64_t *ids; /* messages that the filter names by a prefix */
	size_t    n;   /* of these, or, without prefixes, messages found so far */
	size_t    at, cap;
	uint64_t  id;          /* no filter by id: the message looked at last */
	uint64_t  seen, total; /* messages looked at, and how many there were at the beginning */
	unsigned *hits;        /* messages that begin with each prefix */
	bool      begun, named, end;
	bool      ambiguous; /* a prefix among the filter's ids names several messages */
};

/*
 * Rows valid during the call; after the last of a page once with NULL. False: enough rows for this
 * page. A page may well be empty: what a filter passes over takes turns with the mail.
 */
typedef bool store_row_fn(void *arg, const struct store_row *row);

enum store_action { ACT_COUNT, ACT_RETRY, ACT_HOLD, ACT_RELEASE, ACT_DELETE };

/* `n` messages matched. `cursor` of act is internal; ambiguous prefixes match nothing and are BAD. */
typedef void store_act_fn(void *arg, enum store_result result, size_t n);

/* Each comes from the loop, as often as there is something to tell; NULL: nobody wants to know. */
struct store_events {
	/* The lane has a part to lease from `due_ms` on (now, if past). Comes again only after a lease came back short. */
	void (*work)(void *arg, struct str lane, int64_t due_ms);
	/* A write that was refused may go on. */
	void (*room)(void *arg);
	/* Whether mail can be taken; `why` is for people. */
	void (*state)(void *arg, enum store_state state, const char *why);
	/* Something happened to a message outside the caller's doing: "damaged", "deleted". */
	void (*change)(void *arg, uint64_t id, const char *what, struct str why);
};

struct store_stats {
	uint64_t messages, recipients, ready, deferred, held, active, damaged;
	uint64_t bytes, free_bytes, syncs, commits;
};

struct store_ops {
	void (*close)(struct store *s, void (*done)(void *arg), void *arg);
	struct store_put *(*put)(struct store *s, uint64_t id, int *spill_fd);
	bool (*write)(struct store_put *p, struct str octets);
	void (*commit)(struct store_put *p, const struct store_message *m, store_commit_fn *fn,
	               void *arg);
	void (*abort)(struct store_put *p);
	void (*lease)(struct store *s, const struct store_wish *w, store_lease_fn *fn, void *arg);
	void (*renew)(struct store *s, uint64_t id, uint32_t part, uint64_t token,
	              int64_t lease_ms);
	void (*settle)(struct store *s, const struct store_lease *l, const struct store_outcome *o,
	               store_done_fn *fn, void *arg);
	void (*body)(struct store *s, uint64_t id, uint64_t at, size_t max, store_body_fn *fn,
	             void *arg);
	void (*list)(struct store *s, const struct store_filter *f, struct store_cursor *c,
	             store_row_fn *fn, void *arg);
	void (*act)(struct store *s, const struct store_filter *f, enum store_action a,
	            store_act_fn *fn, void *arg);
	void (*stats)(const struct store *s,
	              struct store_stats *out); /* a plain look, not an operation */
};

/* What every store begins with. Opening is the twelfth operation: each kind has its own. */
struct store {
	const struct store_ops *ops;
};

/* Writes down what rides in memory, then frees the store and calls `done`. Leases end; no other callback comes. */
void store_close(struct store *s, void (*done)(void *arg), void *arg);

/*
 * Begin a message. With `spill_fd` the body goes to a new descriptor, put there
 * and owned by the caller, or -1 if there is no room; otherwise through
 * store_write(). Ends with commit or abort; NULL if nothing can be taken now.
 */
struct store_put *store_put(struct store *s, uint64_t id, int *spill_fd);
bool
store_write(struct store_put *p, struct str octets); /* false: wait for `room`, nothing was taken */
void
store_commit(struct store_put *p, const struct store_message *m, store_commit_fn *fn, void *arg);
void store_abort(struct store_put *p);

void store_lease(struct store *s, const struct store_wish *w, store_lease_fn *fn, void *arg);
void store_renew(struct store *s, uint64_t id, uint32_t part, uint64_t token, int64_t lease_ms);
/* Of the lease only id, part and token count. `fn` may be NULL. */
void store_settle(struct store *s, const struct store_lease *l, const struct store_outcome *o,
                  store_done_fn *fn, void *arg);
void
store_body(struct store *s, uint64_t id, uint64_t at, size_t max, store_body_fn *fn, void *arg);

void store_list(struct store *s, const struct store_filter *f, struct store_cursor *c,
                store_row_fn *fn, void *arg);
void store_cursor_free(struct store_cursor *c);
void store_act(struct store *s, const struct store_filter *f, enum store_action a, store_act_fn *fn,
               void *arg);

void store_stats(const struct store *s, struct store_stats *out);

const char *store_status_name(enum store_status status);

#endif
