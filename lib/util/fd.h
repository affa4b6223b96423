/* SPDX-License-Identifier: ISC */
/*
 * fd - files by their descriptors, for those who may wait for a disk.
 */
#ifndef LIB_UTIL_FD_H
#define LIB_UTIL_FD_H

#include "lib/util/str.h"

/* All octets, however often write() stops short. False and errno: some of them may be written. */
bool fd_write(int fd, struct str octets) MUST_USE;

#endif
