/* http/shares.h: how a loop's time is shared: between events and the jobs that wait for their turn, and between those
 * who are served and those who were told to come again. Shares, and not priorities: so nobody can be starved. */
#ifndef HTTP_SHARES_H
#define HTTP_SHARES_H

#include "http/loop.h"

/* Does jobs for as long as it owes them. The turn began at `began_ns` (clock_ns()), with events or without. */
void shares_give_turns(struct loop *loop, bool had_events, int64_t began_ns);
/* Whether the connection's next request is not to be read now, since it comes at once after one that was put off, and
 * others still wait. Then it stands in the line of those that shares_hear_held() comes back to. */
bool shares_hold(struct loop *loop, struct connection *connection);
void shares_hear_held(struct loop *loop);

#endif
