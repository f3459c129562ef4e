/* service/restorer.c: one round for each time that it was woken, again after a pause when that failed. */
#include "service/restorer.h"
#include "observe/log.h"
#include "service/replication.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_S = 1, BACKGROUND_NICE = 10 };

struct restorer {
    struct service *service;
    const char *name;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool wanted, stopping; /* under the lock */
};

/* Under the lock: until there is work; after a failure at least PAUSE_S. False at the end. */
static bool await(struct restorer *restorer, bool has_failed)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PAUSE_S;
    while (has_failed && !restorer->stopping && pthread_cond_timedwait(&restorer->woken, &restorer->lock, &until) == 0)
        ;
    while (!restorer->wanted && !restorer->stopping)
        pthread_cond_wait(&restorer->woken, &restorer->lock);
    return !restorer->stopping;
}

static void *run(void *arg)
{
    struct restorer *restorer = arg;
    bool has_failed = false;
    pthread_setname_np(pthread_self(), "restorer");
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), BACKGROUND_NICE);
    pthread_mutex_lock(&restorer->lock);
    while (await(restorer, has_failed)) {
        restorer->wanted = false;
        pthread_mutex_unlock(&restorer->lock);
        struct err err = replication_restore(restorer->service, restorer->name);
        pthread_mutex_lock(&restorer->lock);
        if (err.code && !has_failed)
            LOG(LOG_WARN, "revocations_not_restored", LOG_TEXT_("why", err.why));
        has_failed = err.code != ERR_OK;
        restorer->wanted = restorer->wanted || has_failed;
    }
    pthread_mutex_unlock(&restorer->lock);
    return NULL;
}

static void release(struct restorer *restorer)
{
    pthread_cond_destroy(&restorer->woken);
    pthread_mutex_destroy(&restorer->lock);
    free(restorer);
}

struct err restorer_open(struct service *service, const char *name, struct restorer **out)
{
    struct restorer *restorer = mem_alloc(sizeof *restorer);
    *restorer = (struct restorer){ .service = service, .name = name };
    pthread_mutex_init(&restorer->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&restorer->woken, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&restorer->thread, NULL, run, restorer) != 0) {
        release(restorer);
        return failed(ERR_INTERNAL, "the thread that restores revocations could not be started");
    }
    *out = restorer;
    return OK;
}

void restorer_wake(struct restorer *restorer)
{
    pthread_mutex_lock(&restorer->lock);
    restorer->wanted = true;
    pthread_cond_signal(&restorer->woken);
    pthread_mutex_unlock(&restorer->lock);
}

void restorer_close(struct restorer *restorer)
{
    if (!restorer)
        return;
    pthread_mutex_lock(&restorer->lock);
    restorer->stopping = true;
    pthread_cond_signal(&restorer->woken);
    pthread_mutex_unlock(&restorer->lock);
    pthread_join(restorer->thread, NULL);
    release(restorer);
}
