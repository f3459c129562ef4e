/* lambda/http_answer.h: a response as the JSON that each kind of HTTP event is answered by. */
#ifndef LAMBDA_HTTP_ANSWER_H
#define LAMBDA_HTTP_ANSWER_H

#include "lambda/event.h"
#include "service/message.h"

/* Appends it. Fields that occur more than once: REST and a load balancer with lists get lists; format 2.0 has them
 * joined, and cookies apart; a load balancer without lists gets Set-Cookie in several spellings, since it takes one of
 * each. A body that is not UTF-8 is base64. A header that JSON can't hold, or an answer that is too large, becomes a
 * 500. */
void http_answer_write(const struct event *event, const struct request *request, const struct response *response,
                       struct buf *out);

/* Where the event could not be read, and nobody knows who asked: the least that every kind takes. `err`: a refusal. */
void http_answer_write_refusal(struct arena *arena, struct err err, struct buf *out);

#endif
