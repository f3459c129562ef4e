/* bench/load_client.h: one client of bench_load: a connection that doesn't block, and the answer that it waits for. */
#ifndef BENCH_LOAD_CLIENT_H
#define BENCH_LOAD_CLIENT_H

#include "bench/load_plan.h"
#include <netinet/in.h>

enum { ANSWER_HEAD_MAX = 4096 };

enum client_state {
    CLIENT_CLOSED,
    CLIENT_CONNECTING, /* with a request to be sent then */
    CLIENT_IDLE,       /* between requests */
    CLIENT_ASKING,
};

enum client_news { CLIENT_WAITS, CLIENT_HAS_ANSWER, CLIENT_IS_CUT_OFF };

struct client {
    struct crowd *crowd; /* load.c's own */
    struct client *next; /* of those that have nothing to do */
    int fd;
    enum client_state state;
    int64_t wish_ns, due_ns; /* when what it wants was due first, and when this attempt at it was */
    struct kind *kind;
    struct str body;
    char in[ANSWER_HEAD_MAX]; /* the answer's head, with as much of its body as came along */
    size_t in_len, left;      /* left: of the body, when the head is whole */
    bool head_is_whole;
    /* of the answer */
    int status;
    bool closes;
    int64_t retry_after_s; /* 0: it doesn't say */
};

/* A connection that is there before anything is measured. False: there is none. */
bool client_connect(struct client *client, int epoll_fd, const struct sockaddr_in *to);
/* Sends its request, over a new connection if it has none. False: it couldn't. */
bool client_ask(struct client *client, int epoll_fd, const struct sockaddr_in *to);
/* What an event of epoll has brought. */
enum client_news client_look(struct client *client);
void client_close(struct client *client);

#endif
