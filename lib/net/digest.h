/* SPDX-License-Identifier: ISC */
/* digest - OpenSSL's tables for digests, made while there is memory. */
#ifndef LIB_NET_DIGEST_H
#define LIB_NET_DIGEST_H

/*
 * To be called before what may be the first digest of a process; cheap after that. The first one loads
 * tables, and OpenSSL 3.0 crashes if there is no memory for them: this looks for it first, and ends the process as
 * mem.h does where it is missing. Not done when a role starts, because those tables are 0.2 MiB
 * in each process, and many a role never needs them.
 */
void digest_prepare(void);

#endif
