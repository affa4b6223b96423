/* SPDX-License-Identifier: ISC */
/*
 * shelf - where the parts of one lane wait inside the disk store.
 *
 * Ready parts stand in a list, deferred ones in a heap by their time; a second
 * heap holds parts that were deferred when the lane was released, to be taken
 * before their time. All of them stand in the order of their age as well, for those that expire or
 * whose senders must be told of a delay while the lane rests. Nothing here ever looks at a part that
 * is not wanted, and releasing a lane with 100,000 parts swaps two heaps: a lane that is down
 * for days costs the others nothing. One heap over the shelves says which lane comes due next.
 */
#ifndef QUEUE_SHELF_H
#define QUEUE_SHELF_H

#include "lib/util/hash.h"
#include "lib/util/heap.h"
#include "lib/util/list.h"
#include "queue/order.h"

struct part;

struct shelf {
	struct hash_node node;
	struct link      news; /* in shelves.news: a `work` event is owed */
	struct list      ready;
	struct heap      later, released;
	struct order     ages;    /* those told of a delay stand behind all others */
	struct heap_node due;     /* in shelves.due, by the first of `later` */
	size_t           n_parts; /* of all kinds, leased and held ones too */
	bool             told;    /* the owner knows that there is work */
	uint16_t         n;
	char             name[];
};

struct shelves {
	struct hash all;
	struct heap due;
	struct list news;
	size_t      n_ready, n_later;
	uint64_t    n_looks; /* parts that were looked at; what tests compare with what was taken */
};

void shelves_init(struct shelves *s);
void shelves_free(struct shelves *s); /* all shelves are empty by then, or the process ends */
struct shelf *shelf_get(struct shelves *s, struct str lane); /* made if it is not there */
struct shelf *shelf_find(const struct shelves *s, struct str lane);
struct str    shelf_name(const struct shelf *sh);

void shelf_adopt(struct shelf *sh);                    /* one part more */
void shelf_leave(struct shelves *s, struct shelf *sh); /* one part less; the shelf may end */

/* A part that is on no list yet. With a `due_ms` at or before `now_ms` it is ready. */
void shelf_put(struct shelves *s, struct part *p, int64_t due_ms, int64_t now_ms);
void shelf_remove(struct shelves *s, struct part *p); /* off whatever it waits on; else nothing */

/* The next part that may be taken, or NULL; it stays where it is. */
struct part *shelf_front(struct shelves *s, struct shelf *sh, int64_t now_ms);

/*
 * The oldest part that waits and was accepted before that second; then, with the last one as
 * `after`, the next. Walks those told of a delay only if `told`. NULL at the end.
 */
struct part *shelf_oldest(struct shelves *s, const struct shelf *sh, uint32_t before_s, bool told,
                          struct order_item *after);

/* The owner has taken all there was: the next part is news again. */
void shelf_untold(struct shelves *s, struct shelf *sh);

/* Everything deferred may be taken from now on. */
void shelf_release(struct shelves *s, struct shelf *sh);

/* Shelves whose time has come get onto the list of news. */
void shelves_tick(struct shelves *s, int64_t now_ms);

#endif
