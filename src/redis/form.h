/* redis/form.h: the form of the reply to each command that is used: its kind, its range, its size. A server whose reply
 * has another form is out of step or not a Redis, and none of its replies counts. An error can be the reply to any
 * command, and is not one of these forms. Pure functions over replies, which anybody may have sent. Fuzzed with
 * redis_reply. */
#ifndef REDIS_FORM_H
#define REDIS_FORM_H

#include "redis/reply.h"

enum { REDIS_WORDS_MAX = 16 };

struct redis_command;
typedef bool redis_form(const struct redis_command *command, const struct reply *reply);

struct redis_command {
    struct str words[REDIS_WORDS_MAX]; /* "SET", key, value, … */
    size_t count;
    struct str key;   /* what it works on: decides the node of a cluster. None: any node */
    redis_form *form; /* of its reply */
    int64_t wait_ms;  /* how long it may wait in the server, on purpose; with nothing to say it waits all of that */
};
#define NO_KEY ((struct str){ 0, 0 })
#define REDIS_COMMAND(the_key, the_form, ...)                                                                          \
    ((struct redis_command){ .words = { __VA_ARGS__ },                                                                 \
                             .count = sizeof((struct str[]){ __VA_ARGS__ }) / sizeof(struct str),                      \
                             .key = (the_key),                                                                         \
                             .form = (the_form) })

redis_form redis_form_ok;     /* SET, AUTH, SELECT, ASKING, and EVAL of our scripts: the status OK */
redis_form redis_form_set_nx; /* SET … NX: OK, or nil: it was there */
redis_form redis_form_value;  /* GET: bytes, or nil */
redis_form redis_form_text;   /* INFO: bytes */
redis_form redis_form_echo;   /* ECHO: its own argument */
redis_form redis_form_life;   /* PTTL: what is left; -1: no end; -2: no such key */
redis_form redis_form_id;     /* XADD: milliseconds-sequence */
redis_form redis_form_range;  /* XRANGE key from + COUNT n: at most n items, from `from` on, in order */
redis_form redis_form_news;   /* XREAD of one stream: nil, or the stream and items of it */
redis_form redis_form_page;   /* SCAN cursor …: another cursor, and keys */
redis_form redis_form_role;   /* ROLE: a list that begins with a name */
redis_form redis_form_slots;  /* CLUSTER SLOTS: a list */
redis_form redis_form_master; /* SENTINEL get-master-addr-by-name: host and port, or nil */

#endif
