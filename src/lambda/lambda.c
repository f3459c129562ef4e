/* lambda/lambda.c: the main thread starts the slots, and watches them until a signal ends it. */
#include "lambda/lambda.h"
#include "base/clock.h"
#include "base/sentence.h"
#include "base/settings.h"
#include "lambda/invocation.h"
#include "lambda/slot.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "service/service.h"
#include "service/thaw.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CONCURRENCY_MAX = 256, GIVEN_UP_MS = 200 };

struct lambda {
    const char *authority;
    bool is_snapshot;   /* SnapStart */
    size_t concurrency; /* events at once */
    int stop_fd;
    pthread_t watcher; /* of the slots */
    struct invocations all;
};

bool lambda_is_wanted(void)
{
    const char *authority = getenv("AWS_LAMBDA_RUNTIME_API");
    return authority && authority[0];
}

/* One, but on Lambda Managed Instances. */
static size_t lambda_concurrency(void)
{
    const char *text = getenv("AWS_LAMBDA_MAX_CONCURRENCY");
    int64_t count = 1;
    if (!text || !text[0])
        return 1;
    if (!str_number(str_of(text), INT32_MAX, &count) || count < 1) {
        LOG(LOG_WARN, "concurrency_unknown",
            LOG_TEXT_("why", "AWS_LAMBDA_MAX_CONCURRENCY is not a number: taken as 1"));
        return 1;
    }
    return count < CONCURRENCY_MAX ? (size_t)count : CONCURRENCY_MAX;
}

struct err lambda_open(struct lambda **out)
{
    const char *initialization = getenv("AWS_LAMBDA_INITIALIZATION_TYPE");
    if (!lambda_is_wanted())
        return failed(ERR_INVALID_REQUEST,
                      "AWS_LAMBDA_RUNTIME_API is not set: this command runs in AWS Lambda, or under its emulator");
    struct lambda *lambda = mem_alloc(sizeof *lambda);
    *lambda = (struct lambda){ .authority = getenv("AWS_LAMBDA_RUNTIME_API"),
                               .is_snapshot = initialization && strcmp(initialization, "snap-start") == 0,
                               .concurrency = lambda_concurrency(),
                               .stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                               .watcher = pthread_self() };
    if (lambda->stop_fd < 0) {
        free(lambda);
        return failed(ERR_INTERNAL, "there is no file descriptor to be had");
    }
    *out = lambda;
    return OK;
}

void lambda_close(struct lambda *lambda)
{
    if (!lambda)
        return;
    close(lambda->stop_fd);
    free(lambda);
}

/* --- the start --------------------------------------------------------------------------------------------------- */

struct err lambda_wait_for_restore(struct lambda *lambda)
{
    if (!lambda->is_snapshot)
        return OK;
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    struct runtime *runtime = runtime_new(lambda->authority, lambda->stop_fd);
    const struct err err = runtime_wait_for_restore(runtime, &arena);
    runtime_free(runtime); /* its connection may be in the snapshot */
    LOG(LOG_INFO, "restored", LOG_TEXT_("why", err.code ? err.why : "this process is a copy of a snapshot"));
    return err;
}

void lambda_tell_failed_start(struct lambda *lambda, struct err err)
{
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    struct runtime *runtime = runtime_new(lambda->authority, lambda->stop_fd);
    const char *why = sentence_for_callers(err.why);
    if (lambda->is_snapshot)
        runtime_tell_restore_error(runtime, &arena, "Runtime.RestoreError", why);
    else
        runtime_tell_init_error(runtime, &arena, "Runtime.InitError", why);
    runtime_free(runtime);
}

/* --- serving ----------------------------------------------------------------------------------------------------- */

/* SIGUSR1 is our own: lambda_look(). */
void lambda_signals(sigset_t *out)
{
    sigemptyset(out);
    sigaddset(out, SIGTERM);
    sigaddset(out, SIGINT);
    sigaddset(out, SIGHUP);
    sigaddset(out, SIGUSR1);
}

/* On a slot's thread: wakes the watcher. */
static void lambda_look(void *context)
{
    const struct lambda *lambda = context;
    (void)pthread_kill(lambda->watcher, SIGUSR1);
}

static bool lambda_is_end(int signal)
{
    return signal == SIGTERM || signal == SIGINT;
}

/* Until a signal, or the slots give up. */
static struct err lambda_watch(struct slots *slots, const sigset_t *signals)
{
    for (;;) {
        const int64_t left_ns = slots_watch(slots) - clock_ns();
        const struct timespec wait = { .tv_sec = (time_t)(left_ns > 0 ? left_ns / 1000000000 : 0),
                                       .tv_nsec = (long)(left_ns > 0 ? left_ns % 1000000000 : 0) };
        if (slots_have_given_up(slots))
            return failed(ERR_UNAVAILABLE, "the runtime API of AWS Lambda can't be worked with any more");
        const int signal = sigtimedwait(signals, NULL, &wait);
        if (lambda_is_end(signal)) {
            LOG(LOG_INFO, "stopping", LOG_INT("signal", signal));
            return OK;
        }
    }
}

/* A thread that waits for KMS or a database may do so for a minute, and everything is its to use until then. What has
 * been acknowledged is durable, so nothing is lost by ending at once. */
static void lambda_end(struct slots *slots, struct err err, int64_t patience_ms)
{
    enum { FAILED = 3 }; /* as main.c ends after such an error */
    if (!slots_end(slots, patience_ms)) {
        log_sentence(err.code ? err.why : "a call was still waiting at the end");
        _exit(FAILED);
    }
    slots_free(slots);
}

static void lambda_stop(const struct lambda *lambda)
{
    const uint64_t one = 1;
    if (write(lambda->stop_fd, &one, sizeof one) != sizeof one)
        LOG(LOG_ERROR, "not_stopped", LOG_TEXT_("why", "the threads could not be told"));
}

struct err lambda_serve(struct lambda *lambda, struct service *service, const sigset_t *signals)
{
    const struct settings *settings = service->settings;
    struct invocations *all = &lambda->all;
    all->service = service;
    all->rules = (struct http_rules){ (size_t)settings->header_max_bytes, (size_t)settings->body_max_bytes,
                                      &all->trusted };
    const char *fault = networks_read(str_of(settings->trusted_proxies), &all->trusted);
    if (fault) /* the settings have been checked */
        return failed(ERR_INTERNAL, fault);
    lambda->watcher = pthread_self();
    all->thaw = thaw_new(service);
    metrics_count(COUNT_COLD_STARTS, 1);
    struct slots *slots = slots_new(all, lambda->concurrency, lambda->authority, lambda->stop_fd, lambda_look, lambda);
    struct err err = slots_start(slots);
    if (!err.code)
        err = lambda_watch(slots, signals);
    lambda_stop(lambda);
    lambda_end(slots, err, err.code ? GIVEN_UP_MS : settings->drain_timeout_s * 1000);
    thaw_free(all->thaw);
    return err;
}
