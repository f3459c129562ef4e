/* base/background.c: one thread, one lock, one condition. */
#include "base/background.h"
#include "base/condition.h"
#include "base/sentence.h"

void background_init(struct background *background)
{
    *background = (struct background){ .stopping = false };
    pthread_mutex_init(&background->lock, NULL);
    condition_init(&background->changed);
}

static void *background_run(void *arg)
{
    struct background *background = arg;
    pthread_setname_np(pthread_self(), background->name);
    background->run(background->context);
    return NULL;
}

struct err background_start(struct background *background, const char *name, size_t stack_bytes,
                            void (*run)(void *context), void *context)
{
    pthread_attr_t attributes;
    background->name = name;
    background->run = run;
    background->context = context;
    pthread_attr_init(&attributes);
    if (stack_bytes > 0)
        pthread_attr_setstacksize(&attributes, stack_bytes);
    background->has_thread = pthread_create(&background->thread, &attributes, background_run, background) == 0;
    pthread_attr_destroy(&attributes);
    return background->has_thread ? OK
                                  : failed(ERR_INTERNAL, sentence_keep("a thread could not be started",
                                                                       "the thread %s could not be started", name));
}

bool background_wait(struct background *background, int64_t until_ns, const bool *wanted)
{
    pthread_mutex_lock(&background->lock);
    while (!background->stopping && !(wanted && *wanted) &&
           condition_wait_until(&background->changed, &background->lock, until_ns))
        ;
    const bool goes_on = !background->stopping;
    pthread_mutex_unlock(&background->lock);
    return goes_on;
}

void background_raise(struct background *background, bool *flag)
{
    pthread_mutex_lock(&background->lock);
    *flag = true;
    pthread_cond_broadcast(&background->changed);
    pthread_mutex_unlock(&background->lock);
}

bool background_take(struct background *background, bool *flag)
{
    pthread_mutex_lock(&background->lock);
    const bool was = *flag;
    *flag = false;
    pthread_mutex_unlock(&background->lock);
    return was;
}

void background_stop(struct background *background)
{
    background_raise(background, &background->stopping);
    if (background->has_thread)
        pthread_join(background->thread, NULL);
    pthread_cond_destroy(&background->changed);
    pthread_mutex_destroy(&background->lock);
}
