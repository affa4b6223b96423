/* SPDX-License-Identifier: ISC */
/*
 * store_rig - a disk store in a temporary directory, driven step by step.
 *
 * Each rig_* call turns the loop until its answer is there, and fails the test after some seconds.
 */
#ifndef TESTS_UNIT_QUEUE_STORE_RIG_H
#define TESTS_UNIT_QUEUE_STORE_RIG_H

#include "lib/net/loop.h"
#include "lib/util/buf.h"
#include "queue/io.h"
#include "queue/store.h"
#include "queue/store_disk.h"

enum { RIG_LEASES = 64, RIG_RESULTS = 16, RIG_TEXT = 4096 };

struct rig_lease {
	uint64_t id;
	uint32_t part;
	uint64_t token;
	unsigned tries;
	bool     noticed;
	uint64_t size;
	size_t   n_rcpts;
	uint32_t rcpts[8];
	char     lane[64];
	char     body[RIG_TEXT]; /* zero-terminated, cut */
	char     reply[128];     /* of the first recipient */
	int      fd;
};

struct rig;

/* A kind of store; its files or whatever it has are in the rig's directory. */
struct rig_kind {
	const char *name;
	struct store *(*open)(struct rig *r, struct buf *why);
	void (*crash)(struct rig *r); /* as rig_crash() */
};

extern const struct rig_kind rig_kinds[]; /* up to one without a name */

struct rig {
	const struct rig_kind *kind;
	char              dir[64];
	struct loop      *loop;
	struct store     *store;
	const struct io  *io;
	uint32_t          segment_bytes;
	bool              read_only;
	bool              derived; /* put as reports are */
	int64_t           due_ms;  /* of what is put; 0: leased at once */
	int64_t           lease_ms;
	size_t            warm_bytes;
	uint64_t          slack_bytes;
	struct rig_lease  leases[RIG_LEASES];
	size_t            n_leases;
	enum store_result result;
	size_t            count;               /* commits that were answered */
	enum store_result results[RIG_RESULTS]; /* of the last so many, by `count` before each */
	unsigned          again; /* commits that said AGAIN */
	bool              done;
	int               state; /* last one told, -1: none */
	unsigned          works, changes;
	char              last_work[64], last_change[64];
	void (*on_work)(void *arg, struct str lane, int64_t due_ms); /* hears of work, too */
	void (*on_spill)(int fd); /* sees the file of a large body */
	struct buf        text; /* rows or body */
	size_t            rows;
};

void rig_init(struct rig *r); /* makes the directory; the first kind */
void rig_open(struct rig *r);
void rig_close(struct rig *r); /* as a clean stop */
void
rig_crash(struct rig *r);     /* the directory as it is now lives on; the store's memory does not */
void rig_free(struct rig *r); /* and removes the directory */
void rig_turn(struct rig *r, int ms);
void rig_wait(struct rig *r); /* until `done` */
/* Nothing is on its way to the disk, neither mail nor the next segment. Not while the disk is broken. */
void rig_idle(struct rig *r);

/* A message to one recipient for each lane ("a.example b.example"), body repeated to `size`. */
enum store_result rig_put(struct rig *r, uint64_t id, const char *lanes, size_t size);
void rig_put_start(struct rig *r, uint64_t id, const char *lanes, size_t size, bool hold);
enum store_result rig_put_held(struct rig *r, uint64_t id, const char *lanes, size_t size);
enum store_result rig_put_big(struct rig *r, uint64_t id, const char *lanes, size_t size);
void rig_put_big_start(struct rig *r, uint64_t id, const char *lanes, size_t size);
enum store_result rig_put_two(struct rig *r, uint64_t id, const char *lane); /* recipients, one part */
size_t            rig_lease(struct rig *r, const char *lane, unsigned max);
enum store_result rig_settle(struct rig *r, const struct rig_lease *l, enum store_verdict v,
                             int64_t due_ms, const char *reply);
size_t rig_list(struct rig *r, const struct store_filter *f); /* text: "id lane status due why\n" */
enum store_result rig_act(struct rig *r, const struct store_filter *f, enum store_action a);
bool              rig_body(struct rig *r, uint64_t id);
uint64_t          rig_messages(const struct rig *r);

/* Files of the directory that end so; the first one's name is in `name`. */
size_t rig_files(const struct rig *r, const char *end, char name[64]);
void rig_change_file(const struct rig *r, const char *name, long at, const void *octets, size_t n);

#endif
