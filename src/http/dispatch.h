/* http/dispatch.h: from a whole request to its answer: on the loop, or by way of a worker and the group commit. */
#ifndef HTTP_DISPATCH_H
#define HTTP_DISPATCH_H

#include "http/loop.h"

/* Answers the request, or hands it to a worker: then the connection is PHASE_WORKING, and the exchange nobody's but
 * theirs until it is on the loop's list of answered ones. */
void dispatch(struct loop *loop, struct exchange *exchange);
/* Answers a request that could not be read, or came too late. The connection ends with it. */
void dispatch_refusal(struct loop *loop, struct exchange *exchange, struct err err);
/* The response is final: makes an answer of it, to be sent; the connection is PHASE_SENDING. */
void dispatch_answer(struct loop *loop, struct exchange *exchange);

#endif
