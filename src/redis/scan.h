/* redis/scan.h: all keys of one Redis server, and how long they live or what they hold. */
#ifndef REDIS_SCAN_H
#define REDIS_SCAN_H

#include "redis/redis.h"

enum redis_question { REDIS_ASK_NOTHING, REDIS_ASK_LIFE, REDIS_ASK_VALUE };

/* A reader of keys. Views live until redis_scan() returns. */
struct redis_scan_reader {
    void *context;
    /* What to ask of the key, which costs time. */
    enum redis_question (*asks)(void *context, struct str key);
    /* The results; neither is called for a key that no longer exists. ttl_s: rounded up, at most INT32_MAX. */
    void (*life)(void *context, struct str key, int64_t ttl_s);
    void (*value)(void *context, struct str key, struct str value);
};

/* Shows every key of the i-th server (redis_masters) that matches. Blocking, never on an event loop. */
MUST_USE struct err redis_scan(struct redis *redis, size_t master, struct str pattern,
                               const struct redis_scan_reader *reader);

#endif
