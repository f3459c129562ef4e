/* oauth/backchannel.h: telling clients that a session has ended (OpenID Connect Back-Channel Logout 1.0), through an
 * outbox in the store: so no client is forgotten that was away, and no user waits for one. At least once: a client that
 * has answered and could not be marked as told is told again. */
#ifndef OAUTH_BACKCHANNEL_H
#define OAUTH_BACKCHANNEL_H

#include "oauth/granted.h"
#include "store/store.h"

struct call;
struct service;

/* The record that a client is to be told, in front of *records; none, if it has registered no backchannel_logout_uri,
 * or can be told of no user. ERR_UNAVAILABLE. */
MUST_USE struct err backchannel_note(const struct call *call, struct str client_id, const struct granted *login,
                                     struct record **records);

/* Tells those that are due, a bounded number; after `until_ns` (clock_ns(); INT64_MAX: no limit) none is begun. On a
 * thread that may wait for clients; any number of instances may do it at once. True: time was over before all had been
 * looked at. */
bool backchannel_round(struct service *service, int64_t until_ns);

#endif
