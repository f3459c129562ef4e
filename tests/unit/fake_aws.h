/* tests/unit/fake_aws.h: services of AWS on the loopback (http_server.h), whose answers a test scripts, and credentials
 * for them. */
#ifndef FAKE_AWS_H
#define FAKE_AWS_H

#include "http_server.h"
#include <stdlib.h>

#define ERROR(code) "{\"__type\":\"" code "\",\"message\":\"m\"}"

/* A status of 0 drops the connection. */
struct line {
    int status;
    const char *headers, *body; /* NULL: none */
};

static struct http_server *server;
static atomic_int at; /* requests since the script began */

/* What is answered, an answer after the other; the last one goes on. */
static struct line script[16];
static size_t script_len;
static pthread_mutex_t script_lock = PTHREAD_MUTEX_INITIALIZER;

static inline void play(struct http_server *self, struct str request, FILE *out)
{
    const size_t now = (size_t)atomic_fetch_add(&at, 1);
    (void)self;
    (void)request;
    pthread_mutex_lock(&script_lock);
    const struct line none = { 0, NULL, NULL },
                      line = script_len == 0 ? none : script[now < script_len ? now : script_len - 1];
    pthread_mutex_unlock(&script_lock);
    if (line.status)
        http_write(out, line.status, line.headers ? line.headers : "", line.body ? line.body : "");
}

/* Begins a new script with these lines. */
static inline void begin_script(const struct line *lines, size_t count)
{
    pthread_mutex_lock(&script_lock);
    assert_in_range(count, 0, COUNT(script));
    for (script_len = 0; script_len < count; script_len++)
        script[script_len] = lines[script_len];
    atomic_store(&at, 0);
    pthread_mutex_unlock(&script_lock);
}

static inline void fake_aws_begin(void)
{
    server = http_start(play);
    begin_script(NULL, 0);
    setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", 1);
    unsetenv("AWS_SESSION_TOKEN");
    unsetenv("http_proxy");
}

#endif
