/* SPDX-License-Identifier: ISC */
/*
 * delivery - the role that sends mail out.
 *
 * Takes leases from the queue, has them signed by keyd, finds the hosts, talks SMTP to them,
 * and tells the queue what became of each recipient. It keeps no mail: when it
 * dies, its leases are the queue's again.
 */
#ifndef DELIVERY_DELIVERY_H
#define DELIVERY_DELIVERY_H

/* The exit code of the process. */
int delivery_main(unsigned index);

#endif
