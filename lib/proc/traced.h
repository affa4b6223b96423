/* SPDX-License-Identifier: ISC */
/*
 * traced - whether this is a build for sanitizers.
 *
 * Their leak checker starts a process that traces its parent and reads /proc, and
 * their reports start a program: such builds keep the rights to do so.
 */
#ifndef LIB_PROC_TRACED_H
#define LIB_PROC_TRACED_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
	__has_feature(memory_sanitizer)
#define TRACED_BUILD 1
#endif
#endif
#if (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)) && !defined(TRACED_BUILD)
#define TRACED_BUILD 1
#endif
#ifndef TRACED_BUILD
#define TRACED_BUILD 0
#endif

enum { TRACED = TRACED_BUILD };

#endif
